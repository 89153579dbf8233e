package isthmus.bindings.kernels;

import static isthmus.bindings.Downcalls.failure;
import static isthmus.bindings.kernels.Table.check;

import java.lang.foreign.MemorySegment;

/** What surrounds an optimizer's step; as {@link Kernels}, which says what all calls share. */
public final class UpdateKernels {
    private UpdateKernels() {}

    /** Writes the sum of squares (one float64) and how many elements are infinite or no number (one int64), in one pass. */
    public static void gradientNorm(MemorySegment x, long n, MemorySegment sum, MemorySegment count) {
        try {
            check("ist_gradient_norm", (int) Table.GRADIENT_NORM.invokeExact(x, n, sum, count));
        } catch (Throwable t) {
            throw failure("ist_gradient_norm", t);
        }
    }

    /** {@code y += share (x - y)}. */
    public static void average(MemorySegment y, MemorySegment x, float share, long n) {
        try {
            check("ist_average", (int) Table.AVERAGE.invokeExact(y, x, share, n));
        } catch (Throwable t) {
            throw failure("ist_average", t);
        }
    }
}
