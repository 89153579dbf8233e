package isthmus.bindings.kernels;

import static isthmus.bindings.Downcalls.failure;
import static isthmus.bindings.kernels.Table.check;

import java.lang.foreign.MemorySegment;

/** Convolution of each channel by itself; as {@link Kernels}, which says what all calls share. */
public final class DepthwiseKernels {
    private DepthwiseKernels() {}

    /** Forward; bias may be NULL. */
    public static void forward(int dtype, MemorySegment window, MemorySegment x, MemorySegment w, MemorySegment bias,
            MemorySegment y) {
        try {
            check("ist_depthwise", (int) Table.DEPTHWISE.invokeExact(dtype, window, x, w, bias, y));
        } catch (Throwable t) {
            throw failure("ist_depthwise", t);
        }
    }

    /** Gradient by the input. */
    public static void backwardData(int dtype, MemorySegment window, MemorySegment dy, MemorySegment w,
            MemorySegment dx) {
        try {
            check("ist_depthwise_backward_data",
                    (int) Table.DEPTHWISE_BACKWARD_DATA.invokeExact(dtype, window, dy, w, dx));
        } catch (Throwable t) {
            throw failure("ist_depthwise_backward_data", t);
        }
    }

    /** Gradient by the weight. */
    public static void backwardWeights(int dtype, MemorySegment window, MemorySegment x, MemorySegment dy,
            MemorySegment dw) {
        try {
            check("ist_depthwise_backward_weights",
                    (int) Table.DEPTHWISE_BACKWARD_WEIGHTS.invokeExact(dtype, window, x, dy, dw));
        } catch (Throwable t) {
            throw failure("ist_depthwise_backward_weights", t);
        }
    }
}
