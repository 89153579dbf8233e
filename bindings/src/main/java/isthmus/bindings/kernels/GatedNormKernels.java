package isthmus.bindings.kernels;

import static isthmus.bindings.Downcalls.failure;
import static isthmus.bindings.kernels.Table.check;

import java.lang.foreign.MemorySegment;

/** Normalisation before squeeze-and-excitation; as {@link Kernels}, which says what all calls share. */
public final class GatedNormKernels {
    private GatedNormKernels() {}

    /** Means of the normalised and activated x; with dy, which may be NULL, sums of its products with dy. */
    public static void means(int dtype, MemorySegment x, MemorySegment dy, MemorySegment mean, MemorySegment variance,
            MemorySegment gamma, MemorySegment beta, float epsilon, int activation, MemorySegment p, long n, long rows,
            long c) {
        try {
            check("ist_norm_means", (int) Table.NORM_MEANS.invokeExact(dtype, x, dy, mean, variance, gamma, beta,
                    epsilon, activation, p, n, rows, c));
        } catch (Throwable t) {
            throw failure("ist_norm_means", t);
        }
    }

    /** The normalised and activated x times one factor a sample and channel. */
    public static void scaled(int dtype, MemorySegment x, MemorySegment mean, MemorySegment variance,
            MemorySegment gamma, MemorySegment beta, float epsilon, int activation, MemorySegment s, MemorySegment y,
            long n, long rows, long c) {
        try {
            check("ist_norm_scaled", (int) Table.NORM_SCALED.invokeExact(dtype, x, mean, variance, gamma, beta,
                    epsilon, activation, s, y, n, rows, c));
        } catch (Throwable t) {
            throw failure("ist_norm_scaled", t);
        }
    }

    /** Gradients of both together; dx may be dy. */
    public static void scaledBackward(int dtype, MemorySegment x, MemorySegment dy, MemorySegment mean,
            MemorySegment variance, MemorySegment gamma, MemorySegment beta, float epsilon, int activation,
            MemorySegment s, MemorySegment dp, MemorySegment dx, MemorySegment dgamma, MemorySegment dbeta, long n,
            long rows, long c) {
        try {
            check("ist_norm_scaled_backward", (int) Table.NORM_SCALED_BACKWARD.invokeExact(dtype, x, dy, mean, variance,
                    gamma, beta, epsilon, activation, s, dp, dx, dgamma, dbeta, n, rows, c));
        } catch (Throwable t) {
            throw failure("ist_norm_scaled_backward", t);
        }
    }
}
