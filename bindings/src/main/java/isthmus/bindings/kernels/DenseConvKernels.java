package isthmus.bindings.kernels;

import static isthmus.bindings.Downcalls.failure;
import static isthmus.bindings.kernels.Table.check;

import java.lang.foreign.MemorySegment;

/** Forward convolution of one group in float32 with precise sums; as {@link Kernels}, which says what all calls share. */
public final class DenseConvKernels {
    private DenseConvKernels() {}

    /** Writes as one int64 how much scratch memory {@link #convDense} wants so that {@code threads} threads can work. */
    public static void convDenseScratch(MemorySegment window, long threads, MemorySegment bytes) {
        try {
            check("ist_conv_dense_scratch", (int) Table.CONV_DENSE_SCRATCH.invokeExact(window, threads, bytes));
        } catch (Throwable t) {
            throw failure("ist_conv_dense_scratch", t);
        }
    }

    /** Convolution; arguments as {@link WindowKernels#conv}, and {@code bytes} of scratch memory for the time of the call. */
    public static void convDense(MemorySegment window, MemorySegment x, MemorySegment w, MemorySegment bias,
            MemorySegment y, MemorySegment scratch, long bytes) {
        try {
            check("ist_conv_dense", (int) Table.CONV_DENSE.invokeExact(window, x, w, bias, y, scratch, bytes));
        } catch (Throwable t) {
            throw failure("ist_conv_dense", t);
        }
    }
}
