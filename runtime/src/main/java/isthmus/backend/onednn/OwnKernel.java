package isthmus.backend.onednn;

import isthmus.backend.Addresses;
import isthmus.backend.Kernel;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.function.Consumer;

/** A kernel that is one call of our C library. */
final class OwnKernel implements Kernel {
    /** Makes the call once the addresses are known; constant arguments in memory come from the arena. */
    interface Binder {
        Runnable bind(Addresses addresses, Arena constants);
    }

    private final String name;
    private final long scratch;
    private final Binder binder;
    private Arena constants = Arena.ofShared();
    private Runnable call;

    OwnKernel(String name, Binder binder) { this(name, 0, binder); }

    /** One that works in so many bytes of scratch memory. */
    OwnKernel(String name, long scratch, Binder binder) {
        this.name = name;
        this.scratch = scratch;
        this.binder = binder;
    }

    /** What a function of the C library writes as the bytes of scratch memory that another one wants. */
    static long scratch(Consumer<MemorySegment> ask) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocate(ValueLayout.JAVA_LONG);
            ask.accept(bytes);
            return bytes.get(ValueLayout.JAVA_LONG, 0);
        }
    }

    @Override
    public long scratchBytes() { return scratch; }

    @Override
    public String implementation() { return "own " + name; }

    @Override
    public void bind(Addresses addresses) {
        constants.close();
        constants = Arena.ofShared();
        call = binder.bind(addresses, constants);
    }

    @Override
    public void run() { call.run(); }

    @Override
    public void close() { constants.close(); }
}
