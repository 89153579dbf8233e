package isthmus.backend.cuda;

import isthmus.backend.Addresses;
import isthmus.backend.Kernel;
import java.lang.foreign.Arena;

/** A node's work as a short list of launches and library calls. */
final class CudaKernel implements Kernel {
    /** Makes the calls once the addresses are known. */
    interface Binder {
        void bind(Addresses addresses, Launches to);
    }

    private final Device device;
    private final String implementation;
    private final long scratch;
    private final Binder binder;
    private final Runnable release;
    private final Arena arena = Arena.ofShared();
    private Runnable[] calls = {};

    CudaKernel(Device device, String implementation, long scratch, Binder binder) {
        this(device, implementation, scratch, binder, () -> {});
    }

    /** With library objects of its own, which {@code release} ends. */
    CudaKernel(Device device, String implementation, long scratch, Binder binder, Runnable release) {
        this.device = device;
        this.implementation = implementation;
        this.scratch = scratch;
        this.binder = binder;
        this.release = release;
    }

    @Override
    public String implementation() { return implementation; }

    @Override
    public long scratchBytes() { return scratch; }

    @Override
    public void bind(Addresses addresses) {
        Launches launches = new Launches(device, arena);
        binder.bind(addresses, launches);
        calls = launches.calls();
    }

    @Override
    public void run() {
        for (Runnable call : calls)
            call.run();
    }

    @Override
    public void close() {
        release.run();
        arena.close();
    }
}
