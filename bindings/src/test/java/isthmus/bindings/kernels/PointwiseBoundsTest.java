package isthmus.bindings.kernels;

import static isthmus.bindings.kernels.Bf16Products.assumeServed;
import static isthmus.bindings.kernels.Numbers.buffer;
import static isthmus.bindings.kernels.Numbers.empty;
import static isthmus.bindings.kernels.Numbers.floats;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** What ReLU lets through a norm: the data gradient decides for every bf16 value as the norm does, however odd its numbers. */
class PointwiseBoundsTest {
    private static final int VALUES = 1 << 16;
    private static final int CHANNELS = 32;
    private static final float INFINITY = Float.POSITIVE_INFINITY;
    private static final float[] MEANS = {0, -0f, 0.3f, -5.7f, 1e-40f, 3e38f, -INFINITY, Float.NaN};
    private static final float[] FACTORS = {1, -1, 0, -0f, 0.7f, -1e-30f, 3e38f, Float.MIN_VALUE, INFINITY, -INFINITY,
            Float.NaN};
    private static final float[] BETAS = {0, -0f, 0.5f, -0.5f, 1e-39f, -3e38f, INFINITY, -INFINITY, Float.NaN};

    /** Every bf16 value is a pixel, in all channels; dy is one, and so are all products. */
    @Test
    void everyValueIsDecidedAsTheNormDoes() {
        assumeServed();
        int all = MEANS.length * FACTORS.length * BETAS.length;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = empty(arena, Kernels.BF16, VALUES * CHANNELS);
            MemorySegment dy = empty(arena, Kernels.BF16, VALUES * CHANNELS);
            MemorySegment w = empty(arena, Kernels.F32, CHANNELS * CHANNELS);
            for (int i = 0; i < VALUES * CHANNELS; i++)
                x.setAtIndex(ValueLayout.JAVA_SHORT, i, (short) (i / CHANNELS));
            for (int i = 0; i < VALUES; i++)
                dy.setAtIndex(ValueLayout.JAVA_SHORT, (long) i * CHANNELS, Numbers.bf16(1));
            for (int i = 0; i < CHANNELS; i++)
                w.setAtIndex(ValueLayout.JAVA_FLOAT, i, 1);
            for (int from = 0; from < all; from += CHANNELS)
                assertDecided(x, dy, w, from);
        }
    }

    private static void assertDecided(MemorySegment x, MemorySegment dy, MemorySegment w, int from) {
        var mean = new double[CHANNELS];
        var factor = new double[CHANNELS];
        var beta = new double[CHANNELS];
        for (int i = 0; i < CHANNELS; i++) {
            int number = from + i;
            mean[i] = MEANS[number % MEANS.length];
            factor[i] = FACTORS[number / MEANS.length % FACTORS.length];
            beta[i] = BETAS[number / MEANS.length / FACTORS.length % BETAS.length];
        }
        try (Arena arena = Arena.ofConfined()) {
            var ones = new double[CHANNELS];
            Arrays.fill(ones, 1);
            MemorySegment gradient = arena.allocate(KernelStructs.NORM_GRADIENT_BYTES, 8);
            KernelStructs.putNorm(gradient, buffer(arena, Kernels.F32, mean), buffer(arena, Kernels.F32, ones),
                    buffer(arena, Kernels.F32, factor), buffer(arena, Kernels.F32, beta), 0, Kernels.RELU);
            MemorySegment sums = empty(arena, Kernels.F32, 4 * CHANNELS);
            MemorySegment dbeta = sums.asSlice(12L * CHANNELS);
            KernelStructs.putNormGradient(gradient, x, CHANNELS, MemorySegment.NULL, 0, MemorySegment.NULL,
                    MemorySegment.NULL, sums, sums.asSlice(4L * CHANNELS), sums.asSlice(8L * CHANNELS), dbeta);
            MemorySegment dx = empty(arena, Kernels.BF16, VALUES * CHANNELS);
            MemorySegment bytes = arena.allocate(ValueLayout.JAVA_LONG);
            PointwiseKernels.backwardDataScratch(VALUES, CHANNELS, CHANNELS, 2, bytes);
            long size = bytes.get(ValueLayout.JAVA_LONG, 0);
            PointwiseKernels.backwardData(dy, MemorySegment.NULL, w, dx, CHANNELS, gradient, VALUES, CHANNELS, CHANNELS,
                    arena.allocate(size, 64), size);
            double[] counted = floats(dbeta, CHANNELS);
            for (int i = 0; i < CHANNELS; i++)
                assertChannel((float) mean[i], (float) factor[i], (float) beta[i], counted[i], dx, i);
        }
    }

    private static void assertChannel(float mean, float factor, float beta, double counted, MemorySegment dx,
            int channel) {
        String name = "mean " + mean + ", factor " + factor + ", beta " + beta;
        boolean told = factor != 0 && !Float.isInfinite(factor) && !Float.isNaN(factor)
                && Math.abs(factor) > Float.MIN_NORMAL;
        int count = 0;
        for (int i = 0; i < VALUES; i++) {
            float value = Float.intBitsToFloat(i << 16);
            boolean passes = Math.fma(value - mean, factor, beta) > 0;
            if (passes) count++;
            if (told) {
                short bits = dx.getAtIndex(ValueLayout.JAVA_SHORT, (long) i * CHANNELS + channel);
                assertEquals(passes, (bits & 0x7fff) != 0, name + ": " + value);
            }
        }
        assertEquals(count, counted, 0, name);
    }
}
