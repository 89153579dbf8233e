package isthmus.backend.cuda;

import isthmus.bindings.NativeMemory;
import isthmus.tensor.DType;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/** Memory that host and device share as two copies of one size: pinned on the host, so that copies need no help of it. */
final class Twins {
    /** A pair, and which side may know more. */
    private static final class Twin {
        final MemorySegment host;
        final MemorySegment device;
        final Arena arena;
        final List<ComputeCopy> copies = new ArrayList<>();
        boolean hostMayBeNewer = true;
        boolean deviceMayBeNewer;

        Twin(MemorySegment host, MemorySegment device, Arena arena) {
            this.arena = arena;
            this.host = host;
            this.device = device;
        }

        boolean has(long address) { return address >= host.address() && address < host.address() + host.byteSize(); }
    }

    private final Device device;
    private final List<Twin> all = new ArrayList<>();

    Twins(Device device) { this.device = device; }

    MemorySegment allocate(long bytes, Arena arena) {
        long size = Math.max(bytes, 1);
        long at = device.allocate(size, arena);
        MemorySegment host = device.allocHost(size, arena).fill((byte) 0);
        Twin twin = new Twin(host, NativeMemory.view(MemorySegment.ofAddress(at), size), arena);
        all.add(twin);
        // The device memory goes with the arena; the pair is forgotten with it.
        NativeMemory.owned(MemorySegment.ofAddress(at), 0, arena, s -> all.remove(twin));
        return host.asSlice(0, bytes);
    }

    private Twin of(MemorySegment host) {
        for (int i = 0; i < all.size(); i++)
            if (all.get(i).has(host.address())) return all.get(i);
        throw new IllegalArgumentException(
                "this memory is not the device's: it must come from the backend's allocate()");
    }

    /** The device's side; the null segment has none. */
    MemorySegment device(MemorySegment host) {
        if (host.byteSize() == 0) return MemorySegment.NULL;
        Twin t = of(host);
        return t.device.asSlice(host.address() - t.host.address(), host.byteSize());
    }

    /** The address on the device; 0 for the null segment. */
    long address(MemorySegment host) {
        if (host.byteSize() == 0) return 0;
        Twin t = of(host);
        return t.device.address() + host.address() - t.host.address();
    }

    void toDevice(MemorySegment host) {
        if (host.byteSize() == 0) return;
        Twin t = of(host);
        if (t.hostMayBeNewer) upload(t.host);
        t.hostMayBeNewer = false;
        t.deviceMayBeNewer = true;
        for (int i = 0; i < t.copies.size(); i++)
            t.copies.get(i).renew();
    }

    /** The same for kernels that write weights and this copy of them, but no other. */
    void toDevice(MemorySegment weights, ComputeCopy written) {
        Twin t = of(weights);
        if (t.hostMayBeNewer) upload(t.host);
        t.hostMayBeNewer = false;
        t.deviceMayBeNewer = true;
        written.renew();
        for (int i = 0; i < t.copies.size(); i++)
            if (t.copies.get(i) != written) t.copies.get(i).outdate();
    }

    /** Weights in the type that is computed with; lives as long as they, and is up to date after {@link #toDevice}. */
    ComputeCopy copy(WeightBuffer weights, DType type) {
        Twin t = of(weights.segment());
        if (t.host.address() != weights.segment().address())
            throw new IllegalArgumentException("weights that are a part of other memory have no copy to compute with");
        for (ComputeCopy there : t.copies)
            if (there.type() == type) return there;
        var copy = new ComputeCopy(device, weights.table(), t.device, type, t.arena);
        t.copies.add(copy);
        return copy;
    }

    /** Kernels have written, or are about to write, (a part of) shared memory. */
    void changed(MemorySegment host) {
        Twin t = of(host);
        for (int i = 0; i < t.copies.size(); i++)
            t.copies.get(i).outdate();
    }

    void toHost(MemorySegment host) {
        if (host.byteSize() == 0) return;
        Twin t = of(host);
        if (t.deviceMayBeNewer) download(t.host);
        t.deviceMayBeNewer = false;
        t.hostMayBeNewer = true;
    }

    void upload(MemorySegment host) {
        device.driver.copyToDevice(address(host), host, host.byteSize(), device.stream);
        changed(host);
    }

    void download(MemorySegment host) {
        device.driver.copyToHost(host, address(host), host.byteSize(), device.stream);
        device.synchronize();
    }
}
