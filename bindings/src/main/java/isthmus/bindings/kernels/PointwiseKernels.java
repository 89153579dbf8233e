package isthmus.bindings.kernels;

import static isthmus.bindings.Downcalls.failure;
import static isthmus.bindings.kernels.Table.check;

import java.lang.foreign.MemorySegment;

/** Convolution with one tap, in bf16; as {@link Kernels}, which says what all calls share. */
public final class PointwiseKernels {
    private PointwiseKernels() {}

    /** Writes as one int64 how much scratch memory {@link #forward} wants so that {@code threads} threads can work. */
    public static void forwardScratch(long pixels, long c, long k, long threads, MemorySegment bytes) {
        try {
            check("ist_pointwise_scratch", (int) Table.POINTWISE_SCRATCH.invokeExact(pixels, c, k, threads, bytes));
        } catch (Throwable t) {
            throw failure("ist_pointwise_scratch", t);
        }
    }

    /**
     * y {@code [pixels,k]} in bf16, rows {@code ldy} elements apart, of x {@code [pixels,c]} in bf16, rows {@code ldx} apart,
     * and w {@code [k,c]} float32; c and k are multiples of 32. {@code bytes} of scratch memory for the time of the call.
     *
     * @param norm what x goes through first, as {@link KernelStructs#putNorm} writes it, or NULL
     * @param bias float32 {@code [k]} or NULL
     * @param mean where to write the mean of each of y's channels, and {@code variance} theirs; or both NULL
     */
    public static void forward(MemorySegment x, long ldx, MemorySegment norm, MemorySegment w, MemorySegment bias,
            MemorySegment y, long ldy, MemorySegment mean, MemorySegment variance, long pixels, long c, long k,
            MemorySegment scratch, long bytes) {
        try {
            check("ist_pointwise", (int) Table.POINTWISE.invokeExact(x, ldx, norm, w, bias, y, ldy, mean,
                    variance, pixels, c, k, scratch, bytes));
        } catch (Throwable t) {
            throw failure("ist_pointwise", t);
        }
    }

    /** As {@link #forwardScratch}, for {@link #backwardData}. */
    public static void backwardDataScratch(long pixels, long c, long k, long threads, MemorySegment bytes) {
        try {
            check("ist_pointwise_backward_data_scratch",
                    (int) Table.POINTWISE_BACKWARD_DATA_SCRATCH.invokeExact(pixels, c, k, threads, bytes));
        } catch (Throwable t) {
            throw failure("ist_pointwise_backward_data_scratch", t);
        }
    }

    /**
     * dx {@code [pixels,c]} in bf16, rows {@code lddx} elements apart, of dy {@code [pixels,k]} in bf16 and w {@code [k,c]}
     * float32; c and k are multiples of 32. {@code bytes} of scratch memory for the time of the call.
     *
     * @param owed what dy is owed still, as {@link KernelStructs#putOwed} writes it, or NULL; the bits are those of
     *     {@link Kernels#settle} and this without
     * @param gradient of the norm that x went through, as {@link KernelStructs#putNormGradient} writes it, or NULL
     */
    public static void backwardData(MemorySegment dy, MemorySegment owed, MemorySegment w, MemorySegment dx, long lddx,
            MemorySegment gradient, long pixels, long c, long k, MemorySegment scratch, long bytes) {
        try {
            check("ist_pointwise_backward_data", (int) Table.POINTWISE_BACKWARD_DATA.invokeExact(dy, owed, w, dx, lddx,
                    gradient, pixels, c, k, scratch, bytes));
        } catch (Throwable t) {
            throw failure("ist_pointwise_backward_data", t);
        }
    }

    /** As {@link #forwardScratch}, for {@link #backwardWeights}. */
    public static void backwardWeightsScratch(long pixels, long c, long k, long threads, MemorySegment bytes) {
        try {
            check("ist_pointwise_backward_weights_scratch",
                    (int) Table.POINTWISE_BACKWARD_WEIGHTS_SCRATCH.invokeExact(pixels, c, k, threads, bytes));
        } catch (Throwable t) {
            throw failure("ist_pointwise_backward_weights_scratch", t);
        }
    }

    /**
     * dw {@code [k,c]} float32 from x {@code [pixels,c]} in bf16, rows {@code ldx} elements apart, and dy {@code [pixels,k]}.
     *
     * @param norm what x goes through first, as {@link KernelStructs#putNorm} writes it, or NULL
     * @param owed as for {@link #backwardData}
     */
    public static void backwardWeights(MemorySegment x, long ldx, MemorySegment norm, MemorySegment dy,
            MemorySegment owed, MemorySegment dw, long pixels, long c, long k, MemorySegment scratch, long bytes) {
        try {
            check("ist_pointwise_backward_weights", (int) Table.POINTWISE_BACKWARD_WEIGHTS.invokeExact(x, ldx, norm,
                    dy, owed, dw, pixels, c, k, scratch, bytes));
        } catch (Throwable t) {
            throw failure("ist_pointwise_backward_weights", t);
        }
    }
}
