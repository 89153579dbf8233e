package isthmus.bindings.kernels;

import static isthmus.bindings.Downcalls.failure;
import static isthmus.bindings.kernels.Table.check;

import java.lang.foreign.MemorySegment;

/** Element-wise activations and random branches; as {@link Kernels}, which says what all calls share. */
public final class ActivationKernels {
    private ActivationKernels() {}

    /** {@code y = 1 / (1 + exp(-x))}. */
    public static void sigmoid(int dtype, MemorySegment x, MemorySegment y, long n) {
        try {
            check("ist_sigmoid", (int) Table.SIGMOID.invokeExact(dtype, x, y, n));
        } catch (Throwable t) {
            throw failure("ist_sigmoid", t);
        }
    }

    /** {@code dx = dy y (1 - y)}, from the forward result y. */
    public static void sigmoidBackward(int dtype, MemorySegment y, MemorySegment dy, MemorySegment dx, long n) {
        try {
            check("ist_sigmoid_backward", (int) Table.SIGMOID_BACKWARD.invokeExact(dtype, y, dy, dx, n));
        } catch (Throwable t) {
            throw failure("ist_sigmoid_backward", t);
        }
    }

    /** {@code y = x / (1 + exp(-x))}. */
    public static void silu(int dtype, MemorySegment x, MemorySegment y, long n) {
        try {
            check("ist_silu", (int) Table.SILU.invokeExact(dtype, x, y, n));
        } catch (Throwable t) {
            throw failure("ist_silu", t);
        }
    }

    /** Gradient of {@link #silu}, from its input x. */
    public static void siluBackward(int dtype, MemorySegment x, MemorySegment dy, MemorySegment dx, long n) {
        try {
            check("ist_silu_backward", (int) Table.SILU_BACKWARD.invokeExact(dtype, x, dy, dx, n));
        } catch (Throwable t) {
            throw failure("ist_silu_backward", t);
        }
    }

    /** Each of n samples of {@code size} elements whole: {@code y = keep ? x / (1 - p) : 0}, forward and backward alike. */
    public static void stochasticDepth(int dtype, MemorySegment x, MemorySegment y, float p, MemorySegment state,
            int op,
            long n, long size) {
        try {
            check("ist_stochastic_depth", (int) Table.STOCHASTIC_DEPTH.invokeExact(dtype, x, y, p, state, op, n, size));
        } catch (Throwable t) {
            throw failure("ist_stochastic_depth", t);
        }
    }
}
