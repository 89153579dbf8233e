package isthmus.bindings.kernels;

import static isthmus.bindings.Downcalls.failure;
import static isthmus.bindings.kernels.Table.check;

import java.lang.foreign.MemorySegment;

/** Upsampling, one static method a function of {@code isthmus.h}; see {@link Kernels}. */
public final class UpsampleKernels {
    private UpsampleKernels() {}

    /** Enlarges by the nearest position, or linearly between half-pixel centres. */
    public static void upsample(int dtype, MemorySegment window, int linear, MemorySegment x, MemorySegment y) {
        try {
            check("ist_upsample", (int) Table.UPSAMPLE.invokeExact(dtype, window, linear, x, y));
        } catch (Throwable t) {
            throw failure("ist_upsample", t);
        }
    }

    /** Gradient of {@link #upsample} by its input. */
    public static void upsampleBackward(int dtype, MemorySegment window, int linear, MemorySegment dy,
            MemorySegment dx) {
        try {
            check("ist_upsample_backward", (int) Table.UPSAMPLE_BACKWARD.invokeExact(dtype, window, linear, dy, dx));
        } catch (Throwable t) {
            throw failure("ist_upsample_backward", t);
        }
    }
}
