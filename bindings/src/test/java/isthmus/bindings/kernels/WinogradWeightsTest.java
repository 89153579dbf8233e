package isthmus.bindings.kernels;

import static isthmus.bindings.kernels.Bf16Products.assumeServed;
import static isthmus.bindings.kernels.Bf16Products.served;
import static isthmus.bindings.kernels.Numbers.empty;
import static isthmus.bindings.kernels.Numbers.floats;
import static isthmus.bindings.kernels.Numbers.random;
import static isthmus.bindings.kernels.Numbers.read;
import static isthmus.bindings.kernels.Window.v;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.bindings.NativeException;
import isthmus.bindings.onednn.OneDnn;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** The weight gradient by Winograd's algorithm, against float64. */
class WinogradWeightsTest {
    /** Relative L2: what is rounded is the transformed tiles of x and of dy, by 0.0017 each. */
    private static final double MOST = 6e-3;

    /** What lies between two pixels, beside the channels. */
    private static final int GAP = 7;

    /**
     * Odd and even maps; an odd number of tiles; one tile a line; paddings none, one and two; depth with fewer planes than
     * taps and with more planes than a chunk has; several parts of the tiles; several blocks of channels, the last smaller;
     * an odd number of lines of tiles, and blocks in parts, the last smaller; lines in several chunks.
     */
    private static final List<Window> WINDOWS = List.of(
            window(1, 32, 32, v(1, 2, 2), 1, 1, 0),
            window(2, 32, 64, v(1, 5, 7), 1, 1, 0),
            window(1, 64, 32, v(1, 8, 9), 1, 0, 0),
            window(3, 64, 96, v(1, 6, 3), 1, 2, 0),
            window(5, 32, 32, v(1, 31, 33), 1, 1, 0),
            window(2, 32, 64, v(5, 7, 6), 3, 1, 1),
            window(1, 32, 32, v(40, 5, 3), 3, 1, 1),
            window(1, 32, 32, v(2, 9, 5), 3, 1, 2),
            window(1, 96, 32, v(6, 9, 5), 2, 1, 0),
            window(1, 32, 32, v(3, 26, 26), 1, 1, 0),
            window(1, 320, 352, v(1, 5, 4), 1, 1, 0),
            window(3, 160, 32, v(1, 9, 15), 1, 1, 0),
            window(1, 32, 32, v(2, 5, 229), 3, 1, 1),
            window(1, 128, 96, v(3, 4, 4), 3, 1, 1));

    private static Window window(int batch, int channels, int out, long[] in, int taps, int padding, int deep) {
        return new Window(batch, channels, out, 1, in, v(taps, 3, 3), v(1, 1, 1), v(deep, padding, padding),
                v(1, 1, 1));
    }

    @Test
    void nearFloat64() {
        assumeServed();
        for (Window w : WINDOWS) {
            double[] exact = exact(w);
            assertNear(exact, run(w, 0, 2), w + "");
            assertArrayEquals(run(w, 0, 2), run(w, GAP, 2), w + " with gaps between pixels");
        }
    }

    @Test
    void bitsDoNotDependOnThreads() {
        assumeServed();
        int before = Runtime.getRuntime().availableProcessors();
        try {
            for (Window w : WINDOWS) {
                OneDnn.ompSetNumThreads(1);
                double[] alone = run(w, 0, 1);
                for (int threads : new int[]{2, 3, 9}) {
                    OneDnn.ompSetNumThreads(threads);
                    assertArrayEquals(alone, run(w, 0, threads), w + " on " + threads);
                    assertArrayEquals(alone, run(w, 0, 1), w + " with memory for one");
                }
            }
        } finally {
            OneDnn.ompSetNumThreads(before);
        }
    }

    /** As if batch norm had written what is read; its padding is zero all the same, and gaps are not looked at. */
    @Test
    void normOfInput() {
        assumeServed();
        for (Window w : WINDOWS)
            for (int activation : new int[]{Kernels.NONE, Kernels.RELU})
                try (Arena arena = Arena.ofConfined()) {
                    MemorySegment x = x(arena, w, GAP);
                    MemorySegment y = empty(arena, Kernels.BF16, w.batch * w.ins() * w.channels);
                    MemorySegment norm = norm(arena, w, activation, x, y);
                    MemorySegment dy = dy(arena, w, 0);
                    String what = w + " after activation " + activation;
                    assertArrayEquals(run(w, y, 0, MemorySegment.NULL, dy, 0, 2), run(w, x, GAP, norm, dy, 0, 2), what);
                    assertArrayEquals(run(w, x, GAP, norm, dy, 0, 1), run(w, x, GAP, norm, dy, 0, 2), what);
                }
    }

    /** A norm of x, whose result is written to y. */
    private static MemorySegment norm(Arena arena, Window w, int activation, MemorySegment x, MemorySegment y) {
        MemorySegment[] of = new MemorySegment[4];
        for (int i = 0; i < of.length; i++)
            of[i] = random(arena, Kernels.F32, w.channels, 3 + i);
        for (int i = 0; i < w.channels; i++)
            of[1].setAtIndex(ValueLayout.JAVA_FLOAT, i, Math.abs(of[1].getAtIndex(ValueLayout.JAVA_FLOAT, i)));
        float epsilon = 1e-5f;
        Kernels.batchNorm(Kernels.BF16, x, w.channels + GAP, of[0], of[1], of[2], of[3], epsilon, MemorySegment.NULL,
                activation, y, w.channels, (long) w.batch * w.ins(), w.channels);
        MemorySegment norm = arena.allocate(KernelStructs.NORM_BYTES, 8);
        KernelStructs.putNorm(norm, of[0], of[1], of[2], of[3], epsilon, activation);
        return norm;
    }

    /** One channel that is no number spoils its own weights and no others. */
    @Test
    void nanStaysInItsChannel() {
        assumeServed();
        Window w = WINDOWS.get(1);
        double[] clean = run(w, 0, 2);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = x(arena, w, 0);
            x.setAtIndex(ValueLayout.JAVA_SHORT, 3 * w.channels + 5, (short) 0x7fc0);
            double[] got = run(w, x, 0, MemorySegment.NULL, dy(arena, w, 0), 0, 2);
            for (int i = 0; i < got.length; i++) {
                if (i / w.taps() % w.channels != 5) assertEquals(clean[i], got[i]);
                else if (i % w.taps() == 4) assertTrue(Double.isNaN(got[i]), "weight " + i);
            }
        }
    }

    @Test
    void refusals() {
        try (Arena arena = Arena.ofConfined()) {
            Window w = WINDOWS.get(1);
            if (!served()) {
                var e = assertThrows(NativeException.class, () -> scratch(w, 1, arena));
                assertTrue(e.getMessage().contains("AVX-512 BF16"), e.getMessage());
                return;
            }
            assertRefused(arena, window(1, 33, 32, v(1, 5, 5), 1, 1, 0), 1, "33 channels to 32 in 1 groups");
            assertRefused(arena, new Window(1, 32, 32, 1, v(1, 5, 5), v(1, 3, 3), v(1, 2, 1), v(0, 1, 1), v(1, 1, 1)),
                    1, "axis 1 of the window: kernel 3, stride 2");
            assertRefused(arena, window(1, 32, 32, v(9, 5, 5), 8, 1, 0), 1, "8 taps of depth");
            assertRefused(arena, w, 0, "0 threads");
            MemorySegment any = empty(arena, Kernels.F32, 64 * 32 * 9);
            MemorySegment none = MemorySegment.NULL;
            long one = scratch(w, 1, arena);
            var e = assertThrows(NativeException.class,
                    () -> WinogradKernels.weights(w.write(arena), any, 32, none, any, 64, none, any, any, one - 4));
            assertTrue(e.getMessage().contains((one - 4) + " bytes of scratch memory; one thread needs " + one),
                    e.getMessage());
            e = assertThrows(NativeException.class,
                    () -> WinogradKernels.weights(w.write(arena), any, 31, none, any, 64, none, any, any, one));
            assertTrue(e.getMessage().contains("32 and 64 channels are 31 and 64 apart"), e.getMessage());
            MemorySegment norm = arena.allocate(KernelStructs.NORM_BYTES, 8);
            KernelStructs.putNorm(norm, any, any, any, any, 1e-5, Kernels.SILU);
            e = assertThrows(NativeException.class,
                    () -> WinogradKernels.weights(w.write(arena), any, 32, norm, any, 64, none, any, any, one));
            assertTrue(e.getMessage().contains("the norm's activation is " + Kernels.SILU), e.getMessage());
        }
    }

    private static void assertRefused(Arena arena, Window w, int threads, String text) {
        var e = assertThrows(NativeException.class, () -> scratch(w, threads, arena));
        assertTrue(e.getMessage().contains(text), e.getMessage());
    }

    private static long scratch(Window w, int threads, Arena arena) {
        MemorySegment bytes = arena.allocate(ValueLayout.JAVA_LONG);
        WinogradKernels.weightsScratch(w.write(arena), threads, bytes);
        return bytes.get(ValueLayout.JAVA_LONG, 0);
    }

    private static MemorySegment x(Arena arena, Window w, int gap) {
        return spread(arena, w.batch * w.ins(), w.channels, gap, 1);
    }

    private static MemorySegment dy(Arena arena, Window w, int gap) {
        return spread(arena, w.batch * w.outs(), w.outChannels, gap, 2);
    }

    /** Rows of seeded numbers with NaNs between them. */
    private static MemorySegment spread(Arena arena, int rows, int channels, int gap, int seed) {
        MemorySegment from = random(arena, Kernels.BF16, rows * channels, seed);
        MemorySegment to = empty(arena, Kernels.BF16, rows * (channels + gap)).fill((byte) 0xff);
        for (int r = 0; r < rows; r++)
            MemorySegment.copy(from, 2L * r * channels, to, 2L * r * (channels + gap), 2L * channels);
        return to;
    }

    private static double[] run(Window w, int gap, int threads) {
        try (Arena arena = Arena.ofConfined()) {
            return run(w, x(arena, w, gap), gap, MemorySegment.NULL, dy(arena, w, gap), gap, threads);
        }
    }

    private static double[] run(Window w, MemorySegment x, int gap, MemorySegment norm, MemorySegment dy, int dyGap,
            int threads) {
        return run(w, x, gap, norm, dy, dyGap, MemorySegment.NULL, threads);
    }

    static double[] run(Window w, MemorySegment x, int gap, MemorySegment norm, MemorySegment dy, int dyGap,
            MemorySegment owed, int threads) {
        try (Arena arena = Arena.ofConfined()) {
            int size = w.outChannels * w.channels * w.taps();
            MemorySegment dw = empty(arena, Kernels.F32, size).fill((byte) 0xff);
            long bytes = scratch(w, threads, arena);
            MemorySegment scratch = arena.allocate(bytes, 64).fill((byte) 0xff);
            WinogradKernels.weights(w.write(arena), x, w.channels + gap, norm, dy, w.outChannels + dyGap, owed, dw,
                    scratch,
                    bytes);
            return floats(dw, size);
        }
    }

    private static double[] exact(Window w) {
        double[] dw = new double[w.outChannels * w.channels * w.taps()];
        try (Arena arena = Arena.ofConfined()) {
            double[] x = read(Kernels.BF16, x(arena, w, 0), w.batch * w.ins() * w.channels);
            double[] dy = read(Kernels.BF16, dy(arena, w, 0), w.batch * w.outs() * w.outChannels);
            w.each((n, o, tap, i) -> {
                for (int to = 0; to < w.outChannels; to++)
                    for (int from = 0; from < w.channels; from++)
                        dw[(to * w.channels + from) * w.taps() + tap] += x[i * w.channels + from]
                                * dy[o * w.outChannels + to];
            });
        }
        return dw;
    }

    private static void assertNear(double[] exact, double[] ours, String what) {
        double difference = IntStream.range(0, exact.length).mapToDouble(i -> Math.pow(exact[i] - ours[i], 2)).sum();
        double size = IntStream.range(0, exact.length).mapToDouble(i -> Math.pow(exact[i], 2)).sum();
        double error = Math.sqrt(difference / size);
        assertTrue(error < MOST, what + ": error " + error);
    }
}
