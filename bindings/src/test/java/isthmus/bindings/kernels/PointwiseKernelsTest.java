package isthmus.bindings.kernels;

import static isthmus.bindings.kernels.Numbers.empty;
import static isthmus.bindings.kernels.Numbers.floats;
import static isthmus.bindings.kernels.Numbers.random;
import static isthmus.bindings.kernels.Numbers.read;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import isthmus.bindings.NativeException;
import isthmus.bindings.onednn.OneDnn;
import isthmus.bindings.onednn.OneDnnConstants;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;

/** The weight gradient of a convolution with one tap, against float64. */
class PointwiseKernelsTest {
    /** Pixels, channels in, channels out: odd ones, tails of every kind, slices, and more weights than are sliced. */
    private static final int[][] SHAPES = {{1, 1, 1}, {7, 33, 15}, {300, 32, 14}, {257, 70, 129}, {20001, 24, 17},
            {8195, 48, 64}, {130, 300, 200}};

    private static boolean served() {
        int isa = OneDnnConstants.DNNL_CPU_ISA_AVX512_CORE_BF16;
        return Kernels.isa().equals("avx512") && (OneDnn.getEffectiveCpuIsa() & isa) == isa;
    }

    @Test
    void nearFloat64() {
        assumeTrue(served(), "no AVX-512 BF16 here");
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
        assumeTrue(served(), "no AVX-512 BF16 here");
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
                    () -> PointwiseKernels.backwardWeights(any, any, any, 8, 2, 2, any, one - 1));
            assertTrue(e.getMessage().contains((one - 1) + " bytes of scratch memory; one thread needs " + one),
                    e.getMessage());
        }
    }

    private static long scratch(Arena arena, int[] s, int threads) {
        MemorySegment bytes = arena.allocate(ValueLayout.JAVA_LONG);
        PointwiseKernels.backwardWeightsScratch(s[0], s[1], s[2], threads, bytes);
        return bytes.get(ValueLayout.JAVA_LONG, 0);
    }

    private static double[] run(int[] s, int threads) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = random(arena, Kernels.BF16, s[0] * s[1], 1);
            MemorySegment dy = random(arena, Kernels.BF16, s[0] * s[2], 2);
            MemorySegment dw = empty(arena, Kernels.F32, s[1] * s[2]);
            long bytes = scratch(arena, s, threads);
            MemorySegment scratch = arena.allocate(bytes, 64);
            scratch.fill((byte) 0xff); // NaNs, should anything be read that was not written
            PointwiseKernels.backwardWeights(x, dy, dw, s[0], s[1], s[2], scratch, bytes);
            return floats(dw, s[1] * s[2]);
        }
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
