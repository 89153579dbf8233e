package isthmus.bindings.kernels;

import static isthmus.bindings.kernels.Bf16Products.assumeServed;
import static isthmus.bindings.kernels.Bf16Products.served;
import static isthmus.bindings.kernels.Numbers.bf16;
import static isthmus.bindings.kernels.Numbers.close;
import static isthmus.bindings.kernels.Numbers.empty;
import static isthmus.bindings.kernels.Numbers.random;
import static isthmus.bindings.kernels.Numbers.read;
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

/** The convolution with one tap: against float64, and its norm against batch norm before it. */
class PointwiseForwardTest {
    /** Pixels, channels in, channels out: less than a tile, tiles and a rest, one block and several. */
    private static final int[][] SHAPES = {{1, 32, 32}, {5, 64, 96}, {14, 32, 128}, {49, 128, 32}, {200, 96, 64},
            {131, 320, 128}, {29, 992, 160}};
    private static final int[] GAPS = {0, 8, 33};
    private static final double EPSILON = 1e-5;
    private static final MemorySegment NONE = MemorySegment.NULL;

    /** Operands, rows of x and of y so many elements apart. */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    private record Case(int[] shape, MemorySegment x, int ldx, int ldy, MemorySegment w, MemorySegment bias) {
        static Case of(Arena arena, int[] s, int gap, boolean bias) {
            int ldx = s[1] + gap;
            return new Case(s, random(arena, Kernels.BF16, s[0] * ldx, 1), ldx, s[2] + gap,
                    random(arena, Kernels.F32, s[1] * s[2], 2), bias ? random(arena, Kernels.F32, s[2], 3) : NONE);
        }

        double[] run(MemorySegment x, int ldx, MemorySegment norm, int threads) {
            try (Arena arena = Arena.ofConfined()) {
                int rows = shape[0] * ldy;
                MemorySegment y = empty(arena, Kernels.BF16, rows).fill((byte) 0x11);
                long bytes = scratch(arena, shape, threads);
                MemorySegment scratch = arena.allocate(bytes, 64).fill((byte) 0xff); // NaNs, should they be read
                PointwiseKernels.forward(x, ldx, norm, w, bias, y, ldy, NONE, NONE, shape[0], shape[1], shape[2],
                        scratch, bytes);
                return read(Kernels.BF16, y, rows);
            }
        }

        double[] run(int threads) { return run(x, ldx, NONE, threads); }

        /** In float64, of weights as they are rounded; what lies between rows is as it was. */
        double[] exact() {
            int c = shape[1];
            int k = shape[2];
            double[] in = read(Kernels.BF16, x, shape[0] * ldx);
            double[] by = rounded(w, c * k);
            double[] out = new double[shape[0] * ldy];
            for (int p = 0; p < shape[0]; p++)
                for (int o = 0; o < ldy; o++) {
                    double sum = bias.equals(NONE) || o >= k ? 0 : bias.getAtIndex(ValueLayout.JAVA_FLOAT, o);
                    for (int i = 0; o < k && i < c; i++)
                        sum += in[p * ldx + i] * by[o * c + i];
                    out[p * ldy + o] = o < k ? sum : Float.intBitsToFloat(0x1111 << 16);
                }
            return out;
        }
    }

    static double[] rounded(MemorySegment w, int n) {
        double[] to = Numbers.floats(w, n);
        for (int i = 0; i < n; i++)
            to[i] = Float.intBitsToFloat(bf16((float) to[i]) << 16);
        return to;
    }

    /** Four arrays of numbers a channel, variances above zero. */
    static MemorySegment[] statistics(Arena arena, int c) {
        MemorySegment[] of = new MemorySegment[4];
        for (int i = 0; i < of.length; i++)
            of[i] = random(arena, Kernels.F32, c, 7 + i);
        for (int i = 0; i < c; i++)
            of[1].setAtIndex(ValueLayout.JAVA_FLOAT, i, 0.1f + Math.abs(of[1].getAtIndex(ValueLayout.JAVA_FLOAT, i)));
        return of;
    }

    @Test
    void nearFloat64() {
        assumeServed();
        for (int[] s : SHAPES)
            for (int gap : GAPS)
                for (boolean bias : new boolean[]{false, true})
                    try (Arena arena = Arena.ofConfined()) {
                        Case of = Case.of(arena, s, gap, bias);
                        close(s[0] + " pixels, " + s[1] + " to " + s[2] + ", " + gap + " between", of.exact(),
                                of.run(2), 1.01 / 256);
                    }
    }

    /** As the kernel that reads y for them gives them. */
    @Test
    void statisticsOfOutput() {
        assumeServed();
        for (int[] s : SHAPES)
            try (Arena arena = Arena.ofConfined()) {
                Case of = Case.of(arena, s, 8, true);
                MemorySegment[] got = {empty(arena, Kernels.F32, s[2]), empty(arena, Kernels.F32, s[2])};
                MemorySegment[] expected = {empty(arena, Kernels.F32, s[2]), empty(arena, Kernels.F32, s[2])};
                MemorySegment y = empty(arena, Kernels.BF16, s[0] * of.ldy);
                long bytes = scratch(arena, s, 2);
                PointwiseKernels.forward(of.x, of.ldx, NONE, of.w, of.bias, y, of.ldy, got[0], got[1], s[0], s[1],
                        s[2], arena.allocate(bytes, 64).fill((byte) 0xff), bytes);
                Kernels.channelStatistics(Kernels.BF16, y, of.ldy, s[0], s[2], expected[0], expected[1]);
                for (int i = 0; i < 2; i++)
                    close(s[0] + " pixels, " + s[1] + " to " + s[2] + ", number " + i,
                            Numbers.floats(expected[i], s[2]), Numbers.floats(got[i], s[2]), 1e-6);
            }
    }

    /** As if batch norm had written what is read. */
    @Test
    void normOfInput() {
        assumeServed();
        for (int[] s : SHAPES)
            for (int activation : new int[]{Kernels.NONE, Kernels.RELU})
                try (Arena arena = Arena.ofConfined()) {
                    Case of = Case.of(arena, s, 8, false);
                    MemorySegment[] n = statistics(arena, s[1]);
                    MemorySegment z = empty(arena, Kernels.BF16, s[0] * s[1]);
                    Kernels.batchNorm(Kernels.BF16, of.x, of.ldx, n[0], n[1], n[2], n[3], (float) EPSILON, NONE,
                            activation, z, s[1], s[0], s[1]);
                    MemorySegment norm = arena.allocate(KernelStructs.NORM_BYTES, 8);
                    KernelStructs.putNorm(norm, n[0], n[1], n[2], n[3], (float) EPSILON, activation);
                    assertArrayEquals(of.run(z, s[1], NONE, 2), of.run(of.x, of.ldx, norm, 2),
                            s[0] + " pixels, " + s[1] + " to " + s[2] + ", activation " + activation);
                }
    }

    @Test
    void bitsDoNotDependOnThreads() {
        assumeServed();
        int before = Runtime.getRuntime().availableProcessors();
        try (Arena arena = Arena.ofConfined()) {
            for (int[] s : SHAPES) {
                Case of = Case.of(arena, s, 8, true);
                OneDnn.ompSetNumThreads(1);
                double[] alone = of.run(1);
                for (int threads : new int[]{2, 5}) {
                    OneDnn.ompSetNumThreads(threads);
                    assertArrayEquals(alone, of.run(threads), s[1] + " to " + s[2] + " on " + threads);
                    assertArrayEquals(alone, of.run(1), s[1] + " to " + s[2] + " with memory for one");
                }
            }
        } finally {
            OneDnn.ompSetNumThreads(before);
        }
    }

    /** A pixel that is no number spoils itself and no other, where the last pixel stands in for others as well. */
    @Test
    void nanStaysInItsPixel() {
        assumeServed();
        int[] s = {17, 64, 32};
        try (Arena arena = Arena.ofConfined()) {
            Case of = Case.of(arena, s, 0, false);
            double[] clean = of.run(2);
            of.x.setAtIndex(ValueLayout.JAVA_SHORT, 16 * 64 + 3, (short) 0x7fc0);
            double[] got = of.run(2);
            for (int i = 0; i < got.length; i++)
                assertEquals(i / 32 == 16 ? Double.NaN : clean[i], got[i], "place " + i);
        }
    }

    @Test
    void refusals() {
        try (Arena arena = Arena.ofConfined()) {
            if (!served()) {
                assertRefused("AVX-512 BF16", () -> scratch(arena, new int[]{1, 32, 32}, 1));
                return;
            }
            assertRefused("0 pixels, 32 channels to 32", () -> scratch(arena, new int[]{0, 32, 32}, 1));
            assertRefused("33 channels to 32; this is for multiples of 32",
                    () -> scratch(arena, new int[]{4, 33, 32}, 1));
            assertRefused("0 threads", () -> scratch(arena, new int[]{4, 32, 32}, 0));
            long one = scratch(arena, new int[]{8, 32, 32}, 1);
            MemorySegment any = empty(arena, Kernels.F32, 1024);
            assertRefused((one - 1) + " bytes of scratch memory; one thread needs " + one,
                    () -> PointwiseKernels.forward(any, 32, NONE, any, NONE, any, 32, NONE, NONE, 8, 32, 32, any,
                            one - 1));
            assertRefused("rows are 31 and 32 apart but 32 and 32 long",
                    () -> PointwiseKernels.forward(any, 31, NONE, any, NONE, any, 32, NONE, NONE, 8, 32, 32, any, one));
            MemorySegment norm = arena.allocate(KernelStructs.NORM_BYTES, 8);
            KernelStructs.putNorm(norm, any, any, any, any, EPSILON, Kernels.SILU);
            assertRefused("the norm's activation is " + Kernels.SILU,
                    () -> PointwiseKernels.forward(any, 32, norm, any, NONE, any, 32, NONE, NONE, 8, 32, 32, any, one));
        }
    }

    static void assertRefused(String text, Runnable call) {
        var e = assertThrows(NativeException.class, call::run);
        assertTrue(e.getMessage().contains(text), e.getMessage());
    }

    private static long scratch(Arena arena, int[] s, int threads) {
        MemorySegment bytes = arena.allocate(ValueLayout.JAVA_LONG);
        PointwiseKernels.forwardScratch(s[0], s[1], s[2], threads, bytes);
        return bytes.get(ValueLayout.JAVA_LONG, 0);
    }
}
