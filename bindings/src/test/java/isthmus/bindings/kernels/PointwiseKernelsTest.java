package isthmus.bindings.kernels;

import static isthmus.bindings.kernels.Bf16Products.assumeServed;
import static isthmus.bindings.kernels.Bf16Products.served;
import static isthmus.bindings.kernels.Numbers.empty;
import static isthmus.bindings.kernels.Numbers.floats;
import static isthmus.bindings.kernels.Numbers.random;
import static isthmus.bindings.kernels.Numbers.read;
import static java.lang.foreign.MemorySegment.NULL;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.bindings.NativeException;
import isthmus.bindings.onednn.OneDnn;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;

/** The weight gradient of a convolution with one tap, against float64, with a norm against the norm's own kernel. */
class PointwiseKernelsTest {
    /** Pixels, channels in, channels out: odd ones, tails of every kind, slices, more weights than are sliced, groups. */
    private static final int[][] SHAPES = {{1, 1, 1}, {7, 33, 15}, {300, 32, 14}, {257, 70, 129}, {20001, 24, 17},
            {12295, 48, 64}, {130, 300, 200}, {517, 64, 128}, {101, 40, 1100}};
    private static final int[] ACTIVATIONS = {Kernels.NONE, Kernels.RELU};
    private static final float EPSILON = 1e-3f;

    @Test
    void nearFloat64() {
        assumeServed();
        for (int[] s : SHAPES) {
            double[] exact = exact(s);
            double[] ours = run(s, 8);
            double least = 1e-5 * Math.sqrt(s[0]); // a float32 sum of so many terms near one
            for (int i = 0; i < exact.length; i++)
                assertEquals(exact[i], ours[i], least, s[0] + " pixels, " + s[1] + " to " + s[2] + ", weight " + i);
        }
    }

    @Test
    void bitsDoNotDependOnThreads() {
        assumeServed();
        int before = Runtime.getRuntime().availableProcessors();
        try {
            for (int[] s : SHAPES) {
                OneDnn.ompSetNumThreads(1);
                double[] alone = run(s, 1);
                for (int threads : new int[]{2, 5}) {
                    OneDnn.ompSetNumThreads(threads);
                    assertArrayEquals(alone, run(s, threads), s[1] + " to " + s[2] + " on " + threads);
                    assertArrayEquals(alone, run(s, 1), s[1] + " to " + s[2] + " with memory for one");
                }
            }
        } finally {
            OneDnn.ompSetNumThreads(before);
        }
    }

    /** Rows may lie in a wider buffer, whose other columns are not read. */
    @Test
    void pitchedRows() {
        assumeServed();
        for (int[] s : SHAPES)
            assertArrayEquals(run(s, 2), run(s, s[1] + 5, -1, 2), s[0] + " pixels, " + s[1] + " to " + s[2]);
    }

    /** With a norm the bits are those of the norm's own kernel before the one without a norm. */
    @Test
    void normOnTheWay() {
        assumeServed();
        for (int[] s : SHAPES)
            for (int activation : ACTIVATIONS) {
                double[] apart = apart(s, activation);
                assertArrayEquals(apart, run(s, s[1] + 7, activation, 2),
                        s[0] + " pixels, " + s[1] + " to " + s[2] + ", activation " + activation);
            }
    }

    /** With something owed the bits are those of the kernel that settles before the one with nothing owed. */
    @Test
    void settledOnTheWay() {
        assumeServed();
        int before = Runtime.getRuntime().availableProcessors();
        try {
            for (int[] s : SHAPES)
                for (int threads : new int[]{1, 2}) {
                    OneDnn.ompSetNumThreads(threads);
                    double[] apart = owing(s, s[2], threads, true);
                    for (int ldo : new int[]{s[2], s[2] + 9})
                        assertArrayEquals(apart, owing(s, ldo, threads, false),
                                s[0] + " pixels, " + s[1] + " to " + s[2] + ", " + ldo + " apart, on " + threads);
                }
        } finally {
            OneDnn.ompSetNumThreads(before);
        }
    }

    @Test
    void refusals() {
        try (Arena arena = Arena.ofConfined()) {
            if (!served()) {
                var e = assertThrows(NativeException.class, () -> scratch(arena, new int[]{1, 1, 1}, 1));
                assertTrue(e.getMessage().contains("AVX-512 BF16"), e.getMessage());
                return;
            }
            var e = assertThrows(NativeException.class, () -> scratch(arena, new int[]{0, 3, 4}, 1));
            assertTrue(e.getMessage().contains("0 pixels, 3 channels to 4"), e.getMessage());
            long one = scratch(arena, new int[]{8, 2, 2}, 1);
            MemorySegment any = empty(arena, Kernels.F32, 64);
            e = assertThrows(NativeException.class,
                    () -> PointwiseKernels.backwardWeights(any, 2, NULL, any, NULL, any, 8, 2, 2, any, one - 1));
            assertTrue(e.getMessage().contains((one - 1) + " bytes of scratch memory; one thread needs " + one),
                    e.getMessage());
            e = assertThrows(NativeException.class,
                    () -> PointwiseKernels.backwardWeights(any, 1, NULL, any, NULL, any, 8, 2, 2, any, one));
            assertTrue(e.getMessage().contains("pixels of 2 channels are 1 apart"), e.getMessage());
            MemorySegment owed = arena.allocate(KernelStructs.OWED_BYTES, 8);
            KernelStructs.putOwed(owed, any, 1, any, any);
            e = assertThrows(NativeException.class,
                    () -> PointwiseKernels.backwardWeights(any, 2, NULL, any, owed, any, 8, 2, 2, any, one));
            assertTrue(e.getMessage().contains("owed reads rows of 2 channels, which are 1 apart"), e.getMessage());
            MemorySegment norm = norm(arena, 2, Kernels.SILU);
            e = assertThrows(NativeException.class,
                    () -> PointwiseKernels.backwardWeights(any, 2, norm, any, NULL, any, 8, 2, 2, any, one));
            assertTrue(e.getMessage().contains("the norm's activation is " + Kernels.SILU), e.getMessage());
        }
    }

    private static long scratch(Arena arena, int[] s, int threads) {
        MemorySegment bytes = arena.allocate(ValueLayout.JAVA_LONG);
        PointwiseKernels.backwardWeightsScratch(s[0], s[1], s[2], threads, bytes);
        return bytes.get(ValueLayout.JAVA_LONG, 0);
    }

    private static double[] run(int[] s, int threads) { return run(s, s[1], -1, threads); }

    /** x in rows ldx apart, NaNs between them; activation: of the norm, or -1 for no norm. */
    private static double[] run(int[] s, int ldx, int activation, int threads) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = pitched(arena, x(arena, s), s[0], s[1], ldx);
            return gradient(arena, s, x, ldx, activation < 0 ? NULL : norm(arena, s[1], activation), threads);
        }
    }

    /** The norm by its own kernel first. */
    private static double[] apart(int[] s, int activation) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment y = empty(arena, Kernels.BF16, s[0] * s[1]);
            Kernels.batchNorm(Kernels.BF16, x(arena, s), s[1], channels(arena, s[1], 3, 0), channels(arena, s[1], 4, 1),
                    channels(arena, s[1], 5, 0), channels(arena, s[1], 6, 0), EPSILON, NULL, activation, y, s[1], s[0],
                    s[1]);
            return gradient(arena, s, y, s[1], NULL, 2);
        }
    }

    /** Of a dy that is owed something, in rows ldo apart with NaNs between them; settled by its own kernel first or on the way. */
    private static double[] owing(int[] s, int ldo, int threads, boolean apart) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment dy = dy(arena, s);
            MemorySegment of = pitched(arena, random(arena, Kernels.BF16, s[0] * s[2], 7), s[0], s[2], ldo);
            MemorySegment slope = channels(arena, s[2], 8, 0);
            MemorySegment shift = channels(arena, s[2], 9, 0);
            MemorySegment owed = arena.allocate(KernelStructs.OWED_BYTES, 8);
            KernelStructs.putOwed(owed, of, ldo, slope, shift);
            if (apart)
                Kernels.settle(Kernels.BF16, dy, s[2], of, ldo, slope, shift, dy, s[2], s[0], s[2]);
            return gradient(arena, s, x(arena, s), s[1], norm(arena, s[1], Kernels.RELU), dy, apart ? NULL : owed,
                    threads);
        }
    }

    private static double[] gradient(Arena arena, int[] s, MemorySegment x, int ldx, MemorySegment norm, int threads) {
        return gradient(arena, s, x, ldx, norm, dy(arena, s), NULL, threads);
    }

    private static double[] gradient(Arena arena, int[] s, MemorySegment x, int ldx, MemorySegment norm,
            MemorySegment dy, MemorySegment owed, int threads) {
        MemorySegment dw = empty(arena, Kernels.F32, s[1] * s[2]);
        long bytes = scratch(arena, s, threads);
        MemorySegment scratch = arena.allocate(bytes, 64);
        scratch.fill((byte) 0xff); // NaNs, should anything be read that was not written
        PointwiseKernels.backwardWeights(x, ldx, norm, dy, owed, dw, s[0], s[1], s[2], scratch, bytes);
        return floats(dw, s[1] * s[2]);
    }

    private static MemorySegment dy(Arena arena, int[] s) { return random(arena, Kernels.BF16, s[0] * s[2], 2); }

    private static MemorySegment x(Arena arena, int[] s) { return random(arena, Kernels.BF16, s[0] * s[1], 1); }

    private static MemorySegment pitched(Arena arena, MemorySegment rows, int count, int c, int ld) {
        MemorySegment to = arena.allocate(2L * count * ld, 64).fill((byte) 0xff);
        for (int r = 0; r < count; r++)
            MemorySegment.copy(rows, 2L * r * c, to, 2L * r * ld, 2L * c);
        return to;
    }

    /** Numbers a channel; above zero if {@code positive} is one. */
    private static MemorySegment channels(Arena arena, int c, int seed, int positive) {
        MemorySegment to = random(arena, Kernels.F32, c, seed);
        for (int i = 0; i < c * positive; i++)
            to.setAtIndex(ValueLayout.JAVA_FLOAT, i, 0.1f + Math.abs(to.getAtIndex(ValueLayout.JAVA_FLOAT, i)));
        return to;
    }

    private static MemorySegment norm(Arena arena, int c, int activation) {
        MemorySegment norm = arena.allocate(KernelStructs.NORM_BYTES, 8);
        KernelStructs.putNorm(norm, channels(arena, c, 3, 0), channels(arena, c, 4, 1), channels(arena, c, 5, 0),
                channels(arena, c, 6, 0), EPSILON, activation);
        return norm;
    }

    private static double[] exact(int[] s) {
        double[] dw = new double[s[1] * s[2]];
        try (Arena arena = Arena.ofConfined()) {
            double[] x = read(Kernels.BF16, random(arena, Kernels.BF16, s[0] * s[1], 1), s[0] * s[1]);
            double[] dy = read(Kernels.BF16, random(arena, Kernels.BF16, s[0] * s[2], 2), s[0] * s[2]);
            for (int p = 0; p < s[0]; p++)
                for (int o = 0; o < s[2]; o++)
                    for (int i = 0; i < s[1]; i++)
                        dw[o * s[1] + i] += dy[p * s[2] + o] * x[p * s[1] + i];
        }
        return dw;
    }
}
