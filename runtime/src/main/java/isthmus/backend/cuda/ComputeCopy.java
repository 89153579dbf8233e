package isthmus.backend.cuda;

import isthmus.backend.Addresses;
import isthmus.op.Value;
import isthmus.tensor.DType;
import isthmus.tensor.Region;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightTable;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Matrices and filters of a weight buffer in the element type that is computed with, each aligned as libraries like it; filters
 * lie as {@code [O,taps,I]}. Whoever changes the weights on the device writes the copy, too, or says that it is {@linkplain #outdate out of date}.
 */
final class ComputeCopy {
    private static final long ALIGNMENT = 256;

    private final DType type;
    /** First elements, by name. */
    private final Map<String, Long> places = new HashMap<>();
    private final long base;
    private final Runnable renewal;
    private boolean outdated = true;

    /** For weights that lie at {@code master} on the device; the arena owns the copy. */
    ComputeCopy(Device device, WeightTable table, MemorySegment master, DType type, Arena arena) {
        this.type = type;
        long end = 0;
        for (WeightTable.Entry e : table.entries()) {
            if (e.region() == Region.STATISTICS || e.shape().rank() == 1) continue;
            places.put(e.name(), end / type.bytes());
            end = (end + e.elements() * type.bytes() + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        }
        this.base = device.allocate(end, arena);
        List<Chunks.Chunk> chunks = new ArrayList<>();
        for (WeightTable.Entry e : table.entries())
            if (places.containsKey(e.name()))
                chunks.addAll(Chunks.of(table, e.offset(), e.elements(), 0, this::place, 0, 0));
        Launches to = new Launches(device, arena);
        if (!chunks.isEmpty())
            to.add("copy_weights", suffix(), new Grid(chunks.size(), 1, 1), Chunks.onDevice(chunks, device, arena),
                    master, base());
        Runnable[] calls = to.calls();
        this.renewal = calls.length == 0 ? () -> {} : calls[0];
    }

    /** Scratch memory for {@link #of(Value, DType, Addresses, Device, Launches)}. */
    static long bytes(Value w, DType type) {
        if (w.role() == Value.Role.PARAMETER) return 0;
        return (w.shape().elements() * type.bytes() + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }

    /** A parameter's place in the copy that the backend keeps; of weights that are computed, a copy made in scratch memory. */
    static MemorySegment of(Value w, DType type, Addresses a, Device device, Launches to) {
        return a.computed(w, type).orElseGet(() -> {
            Shape s = w.shape();
            String types = "_f32" + Elementwise.suffix(type);
            Grid grid = Grid.over(s.elements(), device);
            if (s.rank() == 2) to.add("convert", types, grid, a.of(w), a.scratch(), s.elements());
            else
                to.add("channels_last", types, grid, a.of(w), a.scratch(), (long) s.dim(0), s.elementsFrom(2),
                        (long) s.dim(1));
            return a.scratch();
        });
    }

    /** Its element type. */
    DType type() { return type; }

    /** What names of kernels that write the copy end in. */
    String suffix() { return Elementwise.suffix(type); }

    /** Where all of it lies. */
    MemorySegment base() { return MemorySegment.ofAddress(base); }

    /** The first element of a weight, counted from the base; negative if it is not here. */
    long place(WeightTable.Entry e) {
        return places.getOrDefault(e.name(), -1L);
    }

    /** Where a weight lies, if it is here. */
    Optional<MemorySegment> of(WeightTable.Entry e) {
        return Optional.ofNullable(places.get(e.name()))
                .map(at -> MemorySegment.ofAddress(base + at * type.bytes()));
    }

    /** The weights have changed. */
    void outdate() { outdated = true; }

    /** Makes it like the weights if it is not. */
    void renew() {
        if (outdated) renewal.run();
        outdated = false;
    }
}
