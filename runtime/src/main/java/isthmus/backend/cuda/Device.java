package isthmus.backend.cuda;

import isthmus.bindings.NativeException;
import isthmus.bindings.NativeMemory;
import isthmus.bindings.cuda.CudaConstants;
import isthmus.bindings.cuda.CudaDriver;
import isthmus.bindings.cuda.CudaLibraries;
import isthmus.bindings.cuda.CudaStreams;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Consumer;

/** One GPU: its context, the stream that all work goes to, and the handles of the libraries. Used by one thread at a time. */
final class Device implements AutoCloseable {
    final CudaLibraries libraries;
    final CudaDriver driver;
    final CudaStreams streams;
    final String name;
    final int capability;
    final int multiprocessors;
    /** Where all kernels and products run. */
    final MemorySegment stream;
    final MemorySegment cudnn;
    final MemorySegment cublasLt;
    final KernelSources kernels;
    private final int device;
    private final MemorySegment context;

    Device(CudaLibraries libraries, int index) {
        this.libraries = libraries;
        this.driver = libraries.driver();
        this.streams = driver.streams();
        driver.init();
        int count = driver.deviceCount();
        if (index < 0 || index >= count)
            throw new IllegalArgumentException(
                    "there is no GPU " + index + "; there are " + count + ", counted from 0");
        device = driver.device(index);
        name = driver.deviceName(device);
        capability = 10 * attribute(CudaConstants.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
                + attribute(CudaConstants.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
        final int oldest = 75;
        if (capability < oldest) {
            throw new IllegalStateException(String.format(Locale.ROOT,
                    "%s has compute capability %d.%d; 7.5 or newer is needed (Turing, of 2018)", name, capability / 10,
                    capability % 10));
        }
        multiprocessors = attribute(CudaConstants.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
        context = driver.retainContext(device);
        enter();
        stream = streams.create();
        cudnn = libraries.cudnn().create();
        libraries.cudnn().setStream(cudnn, stream);
        cublasLt = libraries.cublasLt().create();
        kernels = new KernelSources(this);
    }

    private int attribute(int which) { return driver.deviceAttribute(which, device); }

    /** Makes the context the calling thread's. */
    void enter() { driver.setContext(context); }

    /** Waits for all work. */
    void synchronize() { streams.synchronize(stream); }

    /** Cleared device memory, owned by the arena. */
    long allocate(long bytes, Arena arena) {
        long at = reserve(bytes, arena);
        driver.fill(at, 0, words(bytes), stream);
        return at;
    }

    private static long words(long bytes) {
        final long word = 4;
        return (Math.max(bytes, 1) + word - 1) / word;
    }

    /** Device memory that may hold anything, owned by the arena. */
    long reserve(long bytes, Arena arena) {
        long at;
        try {
            at = driver.alloc(words(bytes) * Integer.BYTES);
        } catch (NativeException e) {
            if (e.status() != CudaConstants.CUDA_ERROR_OUT_OF_MEMORY) throw e;
            throw e.in(String.format(Locale.ROOT, "%s has no %.2f GB left, %.2f GB are free; use a smaller batch", name,
                    bytes / 1e9, driver.freeMemory() / 1e9));
        }
        owned(MemorySegment.ofAddress(at), 0, arena, s -> driver.free(s.address()));
        return at;
    }

    /** Pinned memory of the host that may hold anything, owned by the arena. */
    MemorySegment allocHost(long bytes, Arena arena) {
        return owned(driver.allocHost(bytes), bytes, arena, driver::freeHost);
    }

    /** A stream besides {@link #stream}, owned by the arena. */
    MemorySegment stream(Arena arena) {
        return owned(streams.create(), 0, arena, streams::destroy);
    }

    /** An event without a clock, owned by the arena. */
    MemorySegment event(Arena arena) {
        return owned(streams.createEvent(false), 0, arena, streams::destroyEvent);
    }

    private MemorySegment owned(MemorySegment handle, long bytes, Arena arena, Consumer<MemorySegment> release) {
        return NativeMemory.owned(handle, bytes, arena, s -> release(() -> release.accept(s)));
    }

    /** Gives something back; what a lost GPU had is gone already. */
    void release(Runnable give) {
        try {
            enter();
            give.run();
        } catch (NativeException e) {
            if (loss().isEmpty()) throw e;
        }
    }

    /** Why nothing can be computed here any more; empty if it can. A lost GPU says so at every call, other errors are told once. */
    Optional<String> loss() {
        Optional<String> told = Optional.empty();
        final int calls = 2;
        for (int i = 0; i < calls; i++) {
            try {
                synchronize();
                return Optional.empty();
            } catch (NativeException e) {
                told = Optional.of(name + " is lost to this process: " + e.getMessage());
            }
        }
        return told;
    }

    @Override
    public void close() {
        if (loss().isEmpty()) kernels.close();
        release(() -> libraries.cublasLt().destroy(cublasLt));
        release(() -> libraries.cudnn().destroy(cudnn));
        release(() -> streams.destroy(stream));
        driver.releaseContext(device);
    }
}
