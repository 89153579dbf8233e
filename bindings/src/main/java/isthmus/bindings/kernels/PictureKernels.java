package isthmus.bindings.kernels;

import static isthmus.bindings.Downcalls.failure;
import static isthmus.bindings.kernels.Table.check;

import java.lang.foreign.MemorySegment;

/** Pictures on their way into a network; see {@link Kernels}. */
public final class PictureKernels {
    private PictureKernels() {}

    /** Grey squares of bytes, each with its own place and tones, to normalised pictures {@code [n,size,size,c]}. */
    public static void warpAffine(MemorySegment x, long side, int dtype, MemorySegment y, MemorySegment mean,
            MemorySegment scale, long n, long size, long c) {
        try {
            check("ist_warp_affine",
                    (int) Table.WARP_AFFINE.invokeExact(x, side, dtype, y, mean, scale, n, size, c));
        } catch (Throwable t) {
            throw failure("ist_warp_affine", t);
        }
    }
}
