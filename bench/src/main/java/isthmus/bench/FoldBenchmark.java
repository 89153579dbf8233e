package isthmus.bench;

import isthmus.tensor.HostMath;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;

/** The federation server's aggregation: the updates of so many sites, of DenseNet-121's size, folded into the global weights. */
@State(Scope.Thread)
public class FoldBenchmark {
    private static final long N = 6_968_206;

    @Param({"3", "8"})
    private int sites;

    private MemorySegment global;
    private MemorySegment[] updates;
    private double[] shares;

    @Setup
    public void allocate(Cpu cpu) {
        global = cpu.floats(N);
        updates = new MemorySegment[sites];
        for (int i = 0; i < sites; i++)
            updates[i] = cpu.floats(N);
        shares = new double[sites];
        Arrays.fill(shares, 1e-9 / sites);
    }

    @Benchmark
    public void fold(Traffic traffic, Cpu cpu) {
        HostMath.fold(global, updates, shares, global, N);
        traffic.bytes += (sites + 2) * N * Float.BYTES;
    }
}
