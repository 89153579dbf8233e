package isthmus.weights;

import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import isthmus.tensor.WeightTable;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Fits a first convolution's weight {@code [O,I,k...]} to grey or to colour pictures so that a grey picture, repeated over
 * three channels or not, gives the same result: three channels are summed into one, one is spread over three by thirds.
 */
final class StemAdapter {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT;
    private static final int RGB = 3;

    private StemAdapter() {}

    /** Whether the one can be made of the other. */
    static boolean canAdapt(Shape from, Shape to) {
        return from.rank() == to.rank() && from.rank() > 2 && from.with(1, 1).equals(to.with(1, 1))
                && ((from.dim(1) == RGB && to.dim(1) == 1) || (from.dim(1) == 1 && to.dim(1) == RGB));
    }

    static ImportReport.Adapted adapt(StoredTensor from, WeightBuffer weights, WeightTable.Entry to) {
        MemorySegment out = weights.slice(to);
        long window = to.shape().elementsFrom(2);
        boolean sum = to.shape().dim(1) == 1;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment in = arena.allocate(from.shape().elements() * Float.BYTES, Float.BYTES);
            from.copyTo(in);
            for (long o = 0; o < to.shape().dim(0); o++) {
                for (long k = 0; k < window; k++) {
                    if (sum) sum(in, out, o, k, window);
                    else
                        spread(in, out, o, k, window);
                }
            }
        }
        return new ImportReport.Adapted(to.name(), from.shape().toString(), to.shape().toString(),
                sum ? "summed over RGB" : "a third for each of RGB");
    }

    private static void sum(MemorySegment in, MemorySegment out, long o, long k, long window) {
        double sum = 0;
        for (int c = 0; c < RGB; c++)
            sum += in.getAtIndex(F32, (o * RGB + c) * window + k);
        out.setAtIndex(F32, o * window + k, (float) sum);
    }

    private static void spread(MemorySegment in, MemorySegment out, long o, long k, long window) {
        for (int c = 0; c < RGB; c++)
            out.setAtIndex(F32, (o * RGB + c) * window + k, in.getAtIndex(F32, o * window + k) / RGB);
    }
}
