package isthmus.backend.cuda;

import isthmus.tensor.WeightTable;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.function.ToLongFunction;

/** Weights cut into pieces that one block of a kernel works on each, as {@code Chunk} of {@code optim.cu}. */
final class Chunks {
    private static final long MOST = 8192;
    private static final int NUMBERS = 6;
    private static final long BYTES = (NUMBERS + 2) * Long.BYTES;

    /**
     * A piece of one weight; places count from the origin.
     *
     * @param start first element of the weight
     * @param copy where the weight begins in the copy that is computed with; negative if it is not there
     * @param inner channels that come in; {@code taps} positions of each lie side by side
     */
    record Chunk(long at, long n, long start, long copy, long inner, long taps, double rate, double weightDecay) {}

    private Chunks() {}

    /** The pieces of {@code length} elements from {@code offset} on, both counted in the table; places count from {@code origin}. */
    static List<Chunk> of(WeightTable table, long offset, long length, long origin,
            ToLongFunction<WeightTable.Entry> copy,
            double rate, double decay) {
        List<Chunk> all = new ArrayList<>();
        for (WeightTable.Entry e : table.entries()) {
            long from = Math.max(offset, e.offset());
            long to = Math.min(offset + length, e.offset() + e.elements());
            boolean filter = e.shape().rank() > 2;
            long inner = filter ? e.shape().dim(1) : 1;
            long taps = filter ? e.shape().elementsFrom(2) : 1;
            for (long at = from; at < to; at += MOST)
                all.add(new Chunk(at - origin, Math.min(MOST, to - at), e.offset() - origin,
                        copy.applyAsLong(e), inner, taps, rate, decay));
        }
        return all;
    }

    /** Copies the list to the device, where the arena owns it. */
    static MemorySegment onDevice(List<Chunk> list, Device device, Arena arena) {
        long bytes = list.size() * BYTES;
        long at = device.reserve(bytes, arena);
        try (Arena scratch = Arena.ofConfined()) {
            MemorySegment host = scratch.allocate(bytes, Long.BYTES);
            for (int i = 0; i < list.size(); i++)
                write(list.get(i), host.asSlice(i * BYTES, BYTES));
            device.driver.copyToDevice(at, host, bytes, device.stream);
            device.synchronize();
        }
        return MemorySegment.ofAddress(at);
    }

    private static void write(Chunk c, MemorySegment to) {
        long[] numbers = {c.at, c.n, c.start, c.copy, c.inner, c.taps};
        MemorySegment.copy(numbers, 0, to, ValueLayout.JAVA_LONG, 0, NUMBERS);
        to.setAtIndex(ValueLayout.JAVA_DOUBLE, NUMBERS, c.rate);
        to.setAtIndex(ValueLayout.JAVA_DOUBLE, NUMBERS + 1, c.weightDecay);
    }
}
