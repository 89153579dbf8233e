package isthmus.bindings.kernels;

import static isthmus.bindings.Downcalls.failure;
import static isthmus.bindings.kernels.Table.check;

import java.lang.foreign.MemorySegment;

/** Convolution with one tap, in bf16; as {@link Kernels}, which says what all calls share. */
public final class PointwiseKernels {
    private PointwiseKernels() {}

    /** Writes as one int64 how much scratch memory {@link #backwardWeights} wants so that {@code threads} can work. */
    public static void scratch(long pixels, long c, long k, long threads, MemorySegment bytes) {
        try {
            check("ist_pointwise_scratch", (int) Table.POINTWISE_SCRATCH.invokeExact(pixels, c, k, threads, bytes));
        } catch (Throwable t) {
            throw failure("ist_pointwise_scratch", t);
        }
    }

    /** dw {@code [k,c]} float32 from x {@code [pixels,c]} and dy {@code [pixels,k]} in bf16. */
    public static void backwardWeights(MemorySegment x, MemorySegment dy, MemorySegment dw, long pixels, long c, long k,
            MemorySegment scratch, long bytes) {
        try {
            check("ist_pointwise_backward_weights", (int) Table.POINTWISE_BACKWARD_WEIGHTS.invokeExact(x, dy, dw,
                    pixels, c, k, scratch, bytes));
        } catch (Throwable t) {
            throw failure("ist_pointwise_backward_weights", t);
        }
    }
}
