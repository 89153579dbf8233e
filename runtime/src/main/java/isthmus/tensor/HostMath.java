package isthmus.tensor;

import isthmus.bindings.kernels.Kernels;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** One-pass arithmetic over flat float32 segments, done by native kernels. {@code n} counts elements everywhere. */
public final class HostMath {
    private HostMath() {}

    /**
     * {@code out[i] = base[i] + sum over k of weights[k] * updates[k][i]}, summed in float64 in the order of {@code k}, so
     * that the result does not depend on anything but the operands' order. {@code out} may be {@code base}.
     */
    public static void fold(MemorySegment base, MemorySegment[] updates, double[] weights, MemorySegment out, long n) {
        if (updates.length != weights.length)
            throw new IllegalArgumentException(updates.length + " updates, " + weights.length + " weights");
        require("fold", base, n);
        require("fold", out, n);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment pointers = arena.allocate(ValueLayout.ADDRESS, Math.max(1, updates.length));
            for (int k = 0; k < updates.length; k++) {
                require("fold", updates[k], n);
                pointers.setAtIndex(ValueLayout.ADDRESS, k, updates[k]);
            }
            MemorySegment w = arena.allocate(ValueLayout.JAVA_DOUBLE, Math.max(1, weights.length));
            MemorySegment.copy(weights, 0, w, ValueLayout.JAVA_DOUBLE, 0, weights.length);
            Kernels.fold(base, pointers, w, updates.length, out, n);
        }
    }

    /** {@code out[i] = a[i] - b[i]}; {@code out} may be {@code a} or {@code b}. */
    public static void difference(MemorySegment a, MemorySegment b, MemorySegment out, long n) {
        require("difference", a, n);
        require("difference", b, n);
        require("difference", out, n);
        Kernels.difference(a, b, out, n);
    }

    /** The sum of squares, accumulated in float64. */
    public static double sumOfSquares(MemorySegment x, long n) {
        require("sumOfSquares", x, n);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(ValueLayout.JAVA_DOUBLE);
            Kernels.sumOfSquares(x, n, out);
            return out.get(ValueLayout.JAVA_DOUBLE, 0);
        }
    }

    /** How many elements are infinite or not a number. */
    public static long countNonFinite(MemorySegment x, long n) {
        require("countNonFinite", x, n);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(ValueLayout.JAVA_LONG);
            Kernels.countNonfinite(x, n, out);
            return out.get(ValueLayout.JAVA_LONG, 0);
        }
    }

    private static void require(String call, MemorySegment x, long n) {
        if (n < 0 || n > x.byteSize() / Float.BYTES) {
            throw new IllegalArgumentException(
                    call + ": " + n + " float32 elements asked, the segment has " + x.byteSize() + " bytes");
        }
    }
}
