package isthmus.bindings.kernels;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Writes the structures of {@code isthmus.h}: all of float64, int64 and addresses, without holes. */
public final class KernelStructs {
    /** Bytes of {@code ist_sgd_options}. */
    public static final long SGD_BYTES = 56;
    /** Bytes of {@code ist_adam_options}. */
    public static final long ADAM_BYTES = 64;
    /** Bytes of {@code ist_window}. */
    public static final long WINDOW_BYTES = 176;

    /** Bytes of {@code ist_norm}. */
    public static final long NORM_BYTES = 48;
    /** Bytes of {@code ist_norm_gradient}. */
    public static final long NORM_GRADIENT_BYTES = NORM_BYTES + 80;
    /** Bytes of {@code ist_owed}. */
    public static final long OWED_BYTES = 32;
    /** Bytes of {@code ist_detection}. */
    public static final long DETECTION_BYTES = 168;
    /** Most levels of {@code ist_detection}. */
    public static final int MOST_LEVELS = 8;

    /** Where {@code gradient_scale} and {@code step} lie, for those who change only them from step to step. */
    public static final long SGD_GRADIENT_SCALE = 32;
    public static final long SGD_STEP = 40;
    public static final long ADAM_GRADIENT_SCALE = 40;
    public static final long ADAM_STEP = 48;

    private KernelStructs() {}

    /** Writes SGD's options; steps count from 1. */
    public static void putSgd(MemorySegment to, double lr, double momentum, double dampening, double weightDecay,
            double gradientScale, long step, boolean nesterov) {
        doubles(to, lr, momentum, dampening, weightDecay, gradientScale);
        longs(to, SGD_STEP, step, nesterov ? 1 : 0);
    }

    /** Writes Adam's options; steps count from 1; decoupled weight decay is AdamW's. */
    public static void putAdam(MemorySegment to, double lr, double beta1, double beta2, double epsilon,
            double weightDecay, double gradientScale, long step, boolean decoupled) {
        doubles(to, lr, beta1, beta2, epsilon, weightDecay, gradientScale);
        longs(to, ADAM_STEP, step, decoupled ? 1 : 0);
    }

    /**
     * Writes a window over depth, height and width, three numbers each (in two dimensions depth is: in 1, out 1, kernel 1,
     * stride 1, padding 0, dilation 1).
     */
    public static void putWindow(MemorySegment to, long batch, long channels, long outChannels, long groups, long[] in,
            long[] out, long[] kernel, long[] stride, long[] padding, long[] dilation) {
        longs(to, 0, batch, channels, outChannels, groups);
        long at = 4L * Long.BYTES;
        for (long[] part : new long[][]{in, out, kernel, stride, padding, dilation}) {
            if (part.length != 3) throw new IllegalArgumentException("a window has 3 axes, not " + part.length);
            longs(to, at, part);
            at += 3L * Long.BYTES;
        }
    }

    /** Writes what a detector's joined maps and their loss are; positions a level. */
    public static void putDetection(MemorySegment to, long batch, long anchors, long classes, long codes,
            long[] positions, long capacity, long samples, long leastNegatives, double positiveFraction, double pool,
            double beta, double classWeight, double boxWeight) {
        if (positions.length > MOST_LEVELS)
            throw new IllegalArgumentException(positions.length + " levels; the limit is " + MOST_LEVELS);
        longs(to, 0, batch, positions.length, anchors, classes, codes);
        longs(to, 5L * Long.BYTES, java.util.Arrays.copyOf(positions, MOST_LEVELS));
        long at = (5L + MOST_LEVELS) * Long.BYTES;
        longs(to, at, capacity, samples, leastNegatives);
        doubles(to.asSlice(at + 3L * Long.BYTES), positiveFraction, pool, beta, classWeight, boxWeight);
    }

    /** Writes a normalisation that another kernel does on its input; the four have one float32 a channel. */
    public static void putNorm(MemorySegment to, MemorySegment mean, MemorySegment variance, MemorySegment gamma,
            MemorySegment beta, double epsilon, int activation) {
        addresses(to, 0, mean, variance, gamma, beta);
        doubles(to.asSlice(4L * Long.BYTES), epsilon);
        longs(to, 5L * Long.BYTES, activation);
    }

    /**
     * Writes what stands behind {@link #putNorm}'s part in {@code ist_norm_gradient}: what was normalised, what dx begins
     * with (or NULL), what that owes (or NULL), and where to write what is owed then and the gradients of gamma and beta.
     */
    public static void putNormGradient(MemorySegment to, MemorySegment x, long ldx, MemorySegment add, long ldadd,
            MemorySegment slopeBefore, MemorySegment shiftBefore, MemorySegment slope, MemorySegment shift,
            MemorySegment dgamma, MemorySegment dbeta) {
        addresses(to, NORM_BYTES, x);
        longs(to, NORM_BYTES + 8, ldx);
        addresses(to, NORM_BYTES + 16, add);
        longs(to, NORM_BYTES + 24, ldadd);
        addresses(to, NORM_BYTES + 32, slopeBefore, shiftBefore, slope, shift, dgamma, dbeta);
    }

    /** Writes what a gradient is owed still: slope x + shift; slope and shift have one float32 a channel, x is bf16. */
    public static void putOwed(MemorySegment to, MemorySegment x, long ldx, MemorySegment slope, MemorySegment shift) {
        addresses(to, 0, x);
        longs(to, 8, ldx);
        addresses(to, 16, slope, shift);
    }

    private static void addresses(MemorySegment to, long at, MemorySegment... values) {
        for (int i = 0; i < values.length; i++)
            to.set(ValueLayout.ADDRESS, at + (long) i * Long.BYTES, values[i]);
    }

    private static void doubles(MemorySegment to, double... values) {
        for (int i = 0; i < values.length; i++)
            to.setAtIndex(ValueLayout.JAVA_DOUBLE, i, values[i]);
    }

    private static void longs(MemorySegment to, long at, long... values) {
        for (int i = 0; i < values.length; i++)
            to.set(ValueLayout.JAVA_LONG, at + (long) i * Long.BYTES, values[i]);
    }
}
