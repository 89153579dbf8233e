package isthmus.bench;

import java.lang.foreign.MemorySegment;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;

/** What the machine's memory does at its best: a copy on all threads, of more than its caches hold. All others are shares of it. */
@State(Scope.Thread)
public class CopyBenchmark {
    private static final long N = 1L << 26;

    private MemorySegment from;
    private MemorySegment to;

    @Setup
    public void allocate(Cpu cpu) {
        from = cpu.floats(N);
        to = cpu.floats(N);
    }

    @Benchmark
    public void copy(Cpu cpu, Traffic traffic) {
        cpu.backend().math().copy(from, to, N);
        traffic.bytes += 2 * N * Float.BYTES;
    }
}
