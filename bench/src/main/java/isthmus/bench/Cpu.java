package isthmus.bench;

import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.nn.Seeds;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/** The CPU backend, entered by the measuring thread, and memory filled with small numbers of either sign. */
@State(Scope.Thread)
public class Cpu {
    static final String THREADS = "isthmus.bench.threads";

    private Backend backend;
    private Arena arena;

    @Setup(Level.Trial)
    public void open() {
        backend = Backends.cpu(Integer.getInteger(THREADS, Runtime.getRuntime().availableProcessors()));
        backend.enter();
        arena = Arena.ofShared();
    }

    @TearDown(Level.Trial)
    public void close() {
        arena.close();
        backend.close();
    }

    Backend backend() { return backend; }

    Arena arena() { return arena; }

    /** {@code n} float32 values in (-1, 1). */
    MemorySegment floats(long n) {
        MemorySegment at = backend.allocate(n * Float.BYTES, arena);
        fill(at);
        return at;
    }

    /** Writes float32 values in (-1, 1). */
    static void fill(MemorySegment at) {
        long key = Seeds.key(1, "bench");
        for (long i = 0; i < at.byteSize() / Float.BYTES; i++)
            at.setAtIndex(ValueLayout.JAVA_FLOAT, i, 2 * Seeds.uniform(key, i) - 1);
    }
}
