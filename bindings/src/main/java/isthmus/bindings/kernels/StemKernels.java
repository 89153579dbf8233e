package isthmus.bindings.kernels;

import static isthmus.bindings.Downcalls.failure;
import static isthmus.bindings.kernels.Table.check;

import java.lang.foreign.MemorySegment;

/**
 * Convolution of one to four channels in bf16, as a network's first one: two dimensions, one group, kernels up to 7x7,
 * strides up to 2, no dilation, output channels in multiples of 32; as {@link Kernels}, which says what all calls share.
 */
public final class StemKernels {
    private StemKernels() {}

    /** Writes as one int64 how much scratch memory {@link #forward} wants so that {@code threads} threads can work. */
    public static void forwardScratch(MemorySegment window, long threads, MemorySegment bytes) {
        try {
            check("ist_conv_stem_scratch", (int) Table.CONV_STEM_SCRATCH.invokeExact(window, threads, bytes));
        } catch (Throwable t) {
            throw failure("ist_conv_stem_scratch", t);
        }
    }

    /**
     * Convolution; arguments as {@link WindowKernels#conv}, x and y in bf16, without a bias, and {@code bytes} of
     * scratch memory for the time of the call.
     *
     * @param mean where to write the mean of each of y's channels, and {@code variance} theirs; or both NULL
     */
    public static void forward(MemorySegment window, MemorySegment x, MemorySegment w, MemorySegment y,
            MemorySegment mean, MemorySegment variance, MemorySegment scratch, long bytes) {
        try {
            check("ist_conv_stem",
                    (int) Table.CONV_STEM.invokeExact(window, x, w, y, mean, variance, scratch, bytes));
        } catch (Throwable t) {
            throw failure("ist_conv_stem", t);
        }
    }

    /** As {@link #forwardScratch}, for {@link #backwardWeights}. */
    public static void backwardWeightsScratch(MemorySegment window, long threads, MemorySegment bytes) {
        try {
            check("ist_conv_stem_backward_weights_scratch",
                    (int) Table.CONV_STEM_BACKWARD_WEIGHTS_SCRATCH.invokeExact(window, threads, bytes));
        } catch (Throwable t) {
            throw failure("ist_conv_stem_backward_weights_scratch", t);
        }
    }

    /**
     * The gradient of the weights, float32, from x and {@code dy} in bf16, with {@code bytes} of scratch memory for the
     * time of the call.
     *
     * @param owed what dy is owed still, as {@link KernelStructs#putOwed} writes it, or NULL; the bits are those of
     *     {@link Kernels#settle} and this without
     */
    public static void backwardWeights(MemorySegment window, MemorySegment x, MemorySegment dy, MemorySegment owed,
            MemorySegment dw, MemorySegment scratch, long bytes) {
        try {
            check("ist_conv_stem_backward_weights", (int) Table.CONV_STEM_BACKWARD_WEIGHTS.invokeExact(window, x, dy,
                    owed, dw, scratch, bytes));
        } catch (Throwable t) {
            throw failure("ist_conv_stem_backward_weights", t);
        }
    }
}
