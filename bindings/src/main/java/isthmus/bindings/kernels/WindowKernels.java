package isthmus.bindings.kernels;

import static isthmus.bindings.Downcalls.failure;
import static isthmus.bindings.kernels.Table.check;

import java.lang.foreign.MemorySegment;

/** Pools and direct convolutions; as {@link Kernels}, which says what all calls share. */
public final class WindowKernels {
    private WindowKernels() {}

    /** Maximum of each window and where it was; position may be NULL. */
    public static void maxPool(int dtype, MemorySegment window, MemorySegment x, MemorySegment y,
            MemorySegment position) {
        try {
            check("ist_max_pool", (int) Table.MAX_POOL.invokeExact(dtype, window, x, y, position));
        } catch (Throwable t) {
            throw failure("ist_max_pool", t);
        }
    }

    /** Sends dy to where the maxima were. */
    public static void maxPoolBackward(int dtype, MemorySegment window, MemorySegment dy, MemorySegment position,
            MemorySegment dx) {
        try {
            check("ist_max_pool_backward", (int) Table.MAX_POOL_BACKWARD.invokeExact(dtype, window, dy, position, dx));
        } catch (Throwable t) {
            throw failure("ist_max_pool_backward", t);
        }
    }

    /** Mean of each window, the padding's zeros included. */
    public static void avgPool(int dtype, MemorySegment window, MemorySegment x, MemorySegment y) {
        try {
            check("ist_avg_pool", (int) Table.AVG_POOL.invokeExact(dtype, window, x, y));
        } catch (Throwable t) {
            throw failure("ist_avg_pool", t);
        }
    }

    /** Spreads dy over each window. */
    public static void avgPoolBackward(int dtype, MemorySegment window, MemorySegment dy, MemorySegment dx) {
        try {
            check("ist_avg_pool_backward", (int) Table.AVG_POOL_BACKWARD.invokeExact(dtype, window, dy, dx));
        } catch (Throwable t) {
            throw failure("ist_avg_pool_backward", t);
        }
    }

    /** The mean of each 2 x 2 window of bf16 whose positions are ldx apart, through a norm. */
    public static void normAvgPool(MemorySegment window, MemorySegment x, long ldx, MemorySegment norm,
            MemorySegment y) {
        try {
            check("ist_norm_avg_pool", (int) Table.NORM_AVG_POOL.invokeExact(window, x, ldx, norm, y));
        } catch (Throwable t) {
            throw failure("ist_norm_avg_pool", t);
        }
    }

    /** The gradient of {@link #normAvgPool}, as far as it goes position by position. */
    public static void normAvgPoolBackward(MemorySegment window, MemorySegment dy, MemorySegment dx, long lddx,
            MemorySegment gradient) {
        try {
            check("ist_norm_avg_pool_backward",
                    (int) Table.NORM_AVG_POOL_BACKWARD.invokeExact(window, dy, dx, lddx, gradient));
        } catch (Throwable t) {
            throw failure("ist_norm_avg_pool_backward", t);
        }
    }

    /** The largest of each 3 x 3 window of bf16 whose positions are ldx apart (y's: ldy), through a norm, and where it was. */
    public static void normMaxPool(MemorySegment window, MemorySegment x, long ldx, MemorySegment norm, MemorySegment y,
            long ldy, MemorySegment position) {
        try {
            check("ist_norm_max_pool", (int) Table.NORM_MAX_POOL.invokeExact(window, x, ldx, norm, y, ldy, position));
        } catch (Throwable t) {
            throw failure("ist_norm_max_pool", t);
        }
    }

    /** The gradient of {@link #normMaxPool}, as far as it goes position by position. */
    public static void normMaxPoolBackward(MemorySegment window, MemorySegment dy, MemorySegment position,
            MemorySegment dx, long lddx, MemorySegment gradient) {
        try {
            check("ist_norm_max_pool_backward",
                    (int) Table.NORM_MAX_POOL_BACKWARD.invokeExact(window, dy, position, dx, lddx, gradient));
        } catch (Throwable t) {
            throw failure("ist_norm_max_pool_backward", t);
        }
    }

    /** {@code [n,s,c] -> [n,c]}: the mean over s. */
    public static void globalAvgPool(int dtype, MemorySegment x, MemorySegment y, long n, long s, long c) {
        try {
            check("ist_global_avg_pool", (int) Table.GLOBAL_AVG_POOL.invokeExact(dtype, x, y, n, s, c));
        } catch (Throwable t) {
            throw failure("ist_global_avg_pool", t);
        }
    }

    /** {@code dx = dy / s}. */
    public static void globalAvgPoolBackward(int dtype, MemorySegment dy, MemorySegment dx, long n, long s, long c) {
        try {
            check("ist_global_avg_pool_backward",
                    (int) Table.GLOBAL_AVG_POOL_BACKWARD.invokeExact(dtype, dy, dx, n, s, c));
        } catch (Throwable t) {
            throw failure("ist_global_avg_pool_backward", t);
        }
    }

    /** Direct convolution, for shapes that have no faster way; bias may be NULL. */
    public static void conv(int dtype, MemorySegment window, MemorySegment x, MemorySegment w, MemorySegment bias,
            MemorySegment y) {
        try {
            check("ist_conv", (int) Table.CONV.invokeExact(dtype, window, x, w, bias, y));
        } catch (Throwable t) {
            throw failure("ist_conv", t);
        }
    }

    /** Gradient of {@link #conv} by its input. */
    public static void convBackwardData(int dtype, MemorySegment window, MemorySegment dy, MemorySegment w,
            MemorySegment dx) {
        try {
            check("ist_conv_backward_data", (int) Table.CONV_BACKWARD_DATA.invokeExact(dtype, window, dy, w, dx));
        } catch (Throwable t) {
            throw failure("ist_conv_backward_data", t);
        }
    }

    /** Gradient of {@link #conv} by its weight. */
    public static void convBackwardWeights(int dtype, MemorySegment window, MemorySegment x, MemorySegment dy,
            MemorySegment dw) {
        try {
            check("ist_conv_backward_weights", (int) Table.CONV_BACKWARD_WEIGHTS.invokeExact(dtype, window, x, dy, dw));
        } catch (Throwable t) {
            throw failure("ist_conv_backward_weights", t);
        }
    }
}
