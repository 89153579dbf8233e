package isthmus.tensor;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * All weights (or gradients, or moments, or an update) of a model in one off-heap float32 segment, described by a
 * {@link WeightTable}. The segment belongs to the arena that it was allocated from; a buffer never frees it.
 *
 * @param table what lies where
 * @param segment exactly {@code table.bytes()} bytes, float32, native byte order
 */
public record WeightBuffer(WeightTable table, MemorySegment segment) {
    /** Cache-line alignment of allocated buffers, in bytes. */
    public static final long ALIGNMENT = 64;

    public WeightBuffer {
        if (segment.byteSize() != table.bytes()) {
            throw new IllegalArgumentException(
                    "weight buffer: the table takes " + table.bytes() + " bytes, the segment has "
                            + segment.byteSize());
        }
        if (!segment.isNative()) throw new IllegalArgumentException("weight buffer: the segment must be off the heap");
    }

    /** Zeroed memory for a table, owned by the arena. */
    public static WeightBuffer allocate(WeightTable table, Arena arena) {
        return new WeightBuffer(table, arena.allocate(table.bytes(), ALIGNMENT));
    }

    /** A view of one parameter. */
    public MemorySegment slice(WeightTable.Entry entry) {
        return segment.asSlice(entry.offset() * Float.BYTES, entry.elements() * Float.BYTES);
    }

    /** A view of one parameter by name. */
    public MemorySegment slice(String name) { return slice(table.entry(name)); }

    /** A view of a stretch. */
    public MemorySegment range(WeightTable.Range range) {
        return segment.asSlice(range.offset() * Float.BYTES, range.length() * Float.BYTES);
    }

    /** Takes over all values of a buffer with the same table. */
    public void copyFrom(WeightBuffer other) {
        if (!table.digest().equals(other.table.digest())) {
            throw new IllegalArgumentException(
                    "weight buffer: the tables differ: " + table.differences(other.table, 3));
        }
        MemorySegment.copy(other.segment, 0, segment, 0, table.bytes());
    }

    /**
     * Takes over every value that a buffer with another table has under the same name, whatever its region, as when a
     * trained network becomes the frozen base of an adapted one.
     *
     * @return names of this table that the other one lacks; their values stay as they are
     * @throws IllegalArgumentException naming the first parameter whose shapes differ; nothing is changed then
     */
    public List<String> copyByName(WeightBuffer other) {
        List<String> missing = new ArrayList<>();
        for (WeightTable.Entry e : table.entries()) {
            if (!other.table.has(e.name())) missing.add(e.name());
            else if (!other.table.entry(e.name()).shape().equals(e.shape()))
                throw new IllegalArgumentException("weight buffer: " + e.name() + " is " + e.shape() + " here and "
                        + other.table.entry(e.name()).shape() + " there");
        }
        for (WeightTable.Entry e : table.entries())
            if (other.table.has(e.name())) slice(e).copyFrom(other.slice(e.name()));
        return missing;
    }
}
