package isthmus.bindings.kernels;

import static isthmus.bindings.Downcalls.failure;
import static isthmus.bindings.kernels.Table.check;

import java.lang.foreign.MemorySegment;

/** Convolution in bf16 by Winograd's algorithm; as {@link Kernels}, which says what all calls share. */
public final class WinogradKernels {
    private WinogradKernels() {}

    /** Writes as one int64 how much scratch memory {@link #winograd} wants so that {@code threads} threads can work. */
    public static void winogradScratch(MemorySegment window, long threads, MemorySegment bytes) {
        try {
            check("ist_winograd_scratch", (int) Table.WINOGRAD_SCRATCH.invokeExact(window, threads, bytes));
        } catch (Throwable t) {
            throw failure("ist_winograd_scratch", t);
        }
    }

    /**
     * Convolution; arguments as {@link WindowKernels#conv}, x's and y's pixels {@code ldx} and {@code ldy} elements apart, and
     * {@code bytes} of scratch memory for the time of the call.
     *
     * @param norm what x goes through first, as {@link KernelStructs#putNorm} writes it, or NULL
     * @param owed what x is owed still, as {@link KernelStructs#putOwed} writes it, or NULL
     * @param turned whether w is {@code [channels,out_channels,kernel]} with its taps read backwards: a data gradient
     * @param mean where to write the mean of each of y's channels, and {@code variance} theirs; or both NULL
     * @param gradient what the result flows through before it is written, as {@link KernelStructs#putNormGradient} writes
     *     it, or NULL
     */
    public static void winograd(MemorySegment window, MemorySegment x, long ldx, MemorySegment norm, MemorySegment owed,
            MemorySegment w, boolean turned, MemorySegment bias, MemorySegment y, long ldy, MemorySegment mean,
            MemorySegment variance, MemorySegment gradient, MemorySegment scratch, long bytes) {
        try {
            check("ist_winograd", (int) Table.WINOGRAD.invokeExact(window, x, ldx, norm, owed, w, turned ? 1 : 0,
                    bias, y, ldy, mean, variance, gradient, scratch, bytes));
        } catch (Throwable t) {
            throw failure("ist_winograd", t);
        }
    }

    /** As {@link #winogradScratch}, for {@link #weights}. */
    public static void weightsScratch(MemorySegment window, long threads, MemorySegment bytes) {
        try {
            check("ist_winograd_weights_scratch",
                    (int) Table.WINOGRAD_WEIGHTS_SCRATCH.invokeExact(window, threads, bytes));
        } catch (Throwable t) {
            throw failure("ist_winograd_weights_scratch", t);
        }
    }

    /**
     * The gradient of the weights, float32, from x and {@code dy}, whose pixels are {@code ldx} and {@code lddy} elements
     * apart, with {@code bytes} of scratch memory for the time of the call.
     *
     * @param norm what x goes through first, as {@link KernelStructs#putNorm} writes it, or NULL
     * @param owed what dy is owed still, as {@link KernelStructs#putOwed} writes it, or NULL
     */
    public static void weights(MemorySegment window, MemorySegment x, long ldx, MemorySegment norm, MemorySegment dy,
            long lddy, MemorySegment owed, MemorySegment dw, MemorySegment scratch, long bytes) {
        try {
            check("ist_winograd_weights",
                    (int) Table.WINOGRAD_WEIGHTS.invokeExact(window, x, ldx, norm, dy, lddy, owed, dw, scratch,
                            bytes));
        } catch (Throwable t) {
            throw failure("ist_winograd_weights", t);
        }
    }
}
