package isthmus.bindings.kernels;

import static isthmus.bindings.kernels.Bf16Products.assumeServed;
import static isthmus.bindings.kernels.Bf16Products.served;
import static isthmus.bindings.kernels.Numbers.bf16;
import static isthmus.bindings.kernels.Numbers.close;
import static isthmus.bindings.kernels.Numbers.empty;
import static isthmus.bindings.kernels.Numbers.floats;
import static isthmus.bindings.kernels.Numbers.random;
import static isthmus.bindings.kernels.Numbers.read;
import static isthmus.bindings.kernels.Window.v;
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
import java.util.List;
import org.junit.jupiter.api.Test;

/** The convolution of few channels and its weight gradient, against float64. */
class StemKernelsTest {
    /**
     * One to four channels; kernels odd, even, one, unlike in height and width; both strides and both at once; no
     * padding and much; one to three blocks of channels; lines of one tile, of several, of one output; chunks cut by a
     * picture's end; inputs that reach further than the last window; several slices.
     */
    private static final List<Window> WINDOWS = List.of(
            window(1, 1, 32, v(1, 1, 1), v(1, 1, 1), v(1, 1, 1), v(0, 0, 0)),
            window(1, 3, 64, v(1, 30, 31), v(1, 7, 7), v(1, 2, 2), v(0, 3, 3)),
            window(3, 3, 64, v(1, 19, 57), v(1, 7, 7), v(1, 2, 2), v(0, 3, 3)),
            window(2, 1, 32, v(1, 21, 16), v(1, 7, 7), v(1, 2, 2), v(0, 3, 3)),
            window(2, 4, 96, v(1, 13, 9), v(1, 7, 7), v(1, 1, 1), v(0, 3, 3)),
            window(2, 4, 32, v(1, 12, 40), v(1, 5, 5), v(1, 2, 2), v(0, 2, 2)),
            window(1, 3, 96, v(1, 11, 17), v(1, 3, 3), v(1, 1, 1), v(0, 1, 1)),
            window(2, 1, 64, v(1, 9, 14), v(1, 3, 3), v(1, 1, 1), v(0, 0, 0)),
            window(2, 2, 32, v(1, 14, 15), v(1, 5, 4), v(1, 1, 2), v(0, 4, 0)),
            window(2, 2, 32, v(1, 15, 6), v(1, 2, 1), v(1, 2, 1), v(0, 1, 5)),
            window(2, 2, 32, v(1, 3, 2), v(1, 1, 7), v(1, 2, 2), v(0, 0, 6)),
            window(3, 3, 32, v(1, 90, 90), v(1, 3, 3), v(1, 1, 1), v(0, 1, 1)));
    private static final int[] THREADS = {2, 5};

    private static Window window(int batch, int channels, int out, long[] in, long[] kernel, long[] stride,
            long[] padding) {
        return new Window(batch, channels, out, 1, in, kernel, stride, padding, v(1, 1, 1));
    }

    @Test
    void forwardNearFloat64() {
        assumeServed();
        for (Window w : WINDOWS) {
            double[] y = exact(w);
            double[] got = forward(w, 2, false)[0];
            // one rounding to bf16, and a float32 sum of terms near one
            for (int i = 0; i < y.length; i++)
                assertEquals(y[i], got[i], Math.abs(y[i]) / 256 + 1e-5, w + ", result " + i);
        }
    }

    @Test
    void statistics() {
        assumeServed();
        for (Window w : WINDOWS)
            try (Arena arena = Arena.ofConfined()) {
                double[][] got = forward(w, 2, true);
                assertArrayEquals(forward(w, 2, false)[0], got[0], w + "");
                MemorySegment mean = empty(arena, Kernels.F32, w.outChannels);
                MemorySegment variance = empty(arena, Kernels.F32, w.outChannels);
                Kernels.channelStatistics(Kernels.BF16, Numbers.buffer(arena, Kernels.BF16, got[0]), w.outChannels,
                        (long) w.batch * w.outs(), w.outChannels, mean, variance);
                close(w + ", mean", floats(mean, w.outChannels), got[1], 1e-5);
                close(w + ", variance", floats(variance, w.outChannels), got[2], 1e-5);
            }
    }

    @Test
    void weightsNearFloat64() {
        assumeServed();
        for (Window w : WINDOWS) {
            double[] dw = exactWeights(w);
            double[] got = weights(w, 2, Owed.NOTHING, w.outChannels);
            double least = 1e-5 * Math.sqrt(w.batch * w.outs()); // a float32 sum of so many terms near one
            for (int i = 0; i < dw.length; i++)
                assertEquals(dw[i], got[i], least, w + ", weight " + i);
        }
    }

    /** With something owed the bits are those of the kernel that settles before the one with nothing owed. */
    @Test
    void settledOnTheWay() {
        assumeServed();
        for (Window w : WINDOWS)
            for (int ldx : new int[]{w.outChannels, w.outChannels + 9})
                assertArrayEquals(weights(w, 2, Owed.BEFORE, ldx), weights(w, 2, Owed.ON_THE_WAY, ldx),
                        w + ", " + ldx + " apart");
    }

    @Test
    void bitsDoNotDependOnThreads() {
        assumeServed();
        int before = Runtime.getRuntime().availableProcessors();
        try {
            for (Window w : WINDOWS) {
                OneDnn.ompSetNumThreads(1);
                double[] y = forward(w, 1, true)[0];
                double[] dw = weights(w, 1, Owed.ON_THE_WAY, w.outChannels);
                for (int threads : THREADS) {
                    OneDnn.ompSetNumThreads(threads);
                    for (int room : new int[]{1, threads}) {
                        String what = w + " on " + threads + " with memory for " + room;
                        assertArrayEquals(y, forward(w, room, true)[0], what);
                        assertArrayEquals(dw, weights(w, room, Owed.ON_THE_WAY, w.outChannels), what);
                    }
                }
            }
        } finally {
            OneDnn.ompSetNumThreads(before);
        }
    }

    @Test
    void refusals() {
        try (Arena arena = Arena.ofConfined()) {
            Window w = WINDOWS.get(1);
            if (!served()) {
                assertRefused("AVX-512 BF16", () -> forwardScratch(arena, w, 1));
                assertRefused("AVX-512 BF16", () -> weightsScratch(arena, w, 1));
                return;
            }
            refusedWindows(arena);
            assertRefused("0 threads", () -> forwardScratch(arena, w, 0));
            assertRefused("0 threads", () -> weightsScratch(arena, w, 0));
            MemorySegment any = empty(arena, Kernels.F32, 64);
            MemorySegment window = w.write(arena);
            long one = forwardScratch(arena, w, 1);
            assertRefused((one - 1) + " bytes of scratch memory; one thread needs " + one,
                    () -> StemKernels.forward(window, any, any, any, NULL, NULL, any, one - 1));
            long least = weightsScratch(arena, w, 1);
            assertRefused((least - 1) + " bytes of scratch memory; one thread needs " + least,
                    () -> StemKernels.backwardWeights(window, any, any, NULL, any, any, least - 1));
            MemorySegment owed = arena.allocate(KernelStructs.OWED_BYTES, 8);
            KernelStructs.putOwed(owed, any, 63, any, any);
            assertRefused("owed reads rows of 64 channels, which are 63 apart",
                    () -> StemKernels.backwardWeights(window, any, any, owed, any, any, least));
        }
    }

    private static void refusedWindows(Arena arena) {
        long[] in = v(1, 20, 20);
        long[] kernel = v(1, 3, 3);
        long[] one = v(1, 1, 1);
        long[] none = v(0, 0, 0);
        refused(arena, "5 channels to 32 in 1 groups", window(1, 5, 32, in, kernel, one, none));
        refused(arena, "3 channels to 48 in 1 groups", window(1, 3, 48, in, kernel, one, none));
        refused(arena, "4 channels to 32 in 2 groups", new Window(1, 4, 32, 2, in, kernel, one, none, one));
        refused(arena, "axis 1 of the window: in 20, kernel 8", window(1, 3, 32, in, v(1, 8, 3), one, none));
        refused(arena, "axis 2 of the window: in 20, kernel 3, stride 3",
                window(1, 3, 32, in, kernel, v(1, 1, 3), none));
        refused(arena, "axis 2 of the window: in 20, kernel 3, stride 1, padding 0, dilation 2",
                new Window(1, 3, 32, 1, in, kernel, one, none, v(1, 1, 2)));
        refused(arena, "axis 0 of the window: in 3, kernel 1", window(1, 3, 32, v(3, 9, 9), kernel, one, none));
        refused(arena, "axis 0 of the window: in 3, kernel 3", window(1, 3, 32, v(3, 9, 9), v(3, 3, 3), one, none));
        refused(arena, "a batch of 0", window(0, 3, 32, in, kernel, one, none));
    }

    private static void refused(Arena arena, String text, Window w) {
        assertRefused(text, () -> forwardScratch(arena, w, 1));
        assertRefused(text, () -> weightsScratch(arena, w, 1));
    }

    private static void assertRefused(String text, Runnable call) {
        var e = assertThrows(NativeException.class, call::run);
        assertTrue(e.getMessage().contains(text), e.getMessage());
    }

    private static long forwardScratch(Arena arena, Window w, int threads) {
        MemorySegment bytes = arena.allocate(ValueLayout.JAVA_LONG);
        StemKernels.forwardScratch(w.write(arena), threads, bytes);
        return bytes.get(ValueLayout.JAVA_LONG, 0);
    }

    private static long weightsScratch(Arena arena, Window w, int threads) {
        MemorySegment bytes = arena.allocate(ValueLayout.JAVA_LONG);
        StemKernels.backwardWeightsScratch(w.write(arena), threads, bytes);
        return bytes.get(ValueLayout.JAVA_LONG, 0);
    }

    /** NaNs, should anything be read that was not written. */
    private static MemorySegment room(Arena arena, long bytes) {
        return arena.allocate(bytes, 64).fill((byte) 0xff);
    }

    /** y and, if measured, mean and variance. */
    private static double[][] forward(Window w, int threads, boolean measured) {
        try (Arena arena = Arena.ofConfined()) {
            int ys = w.batch * w.outs() * w.outChannels;
            MemorySegment y = empty(arena, Kernels.BF16, ys);
            MemorySegment mean = measured ? empty(arena, Kernels.F32, w.outChannels) : NULL;
            MemorySegment variance = measured ? empty(arena, Kernels.F32, w.outChannels) : NULL;
            long bytes = forwardScratch(arena, w, threads);
            StemKernels.forward(w.write(arena), x(arena, w), w(arena, w), y, mean, variance, room(arena, bytes), bytes);
            double[] values = read(Kernels.BF16, y, ys);
            if (!measured) return new double[][]{values};
            return new double[][]{values, floats(mean, w.outChannels), floats(variance, w.outChannels)};
        }
    }

    /** What is done about what dy is owed. */
    private enum Owed {
        NOTHING, BEFORE, ON_THE_WAY
    }

    /** ldx: how far apart the rows lie that are owed on; NaNs lie between them. */
    private static double[] weights(Window w, int threads, Owed how, int ldx) {
        try (Arena arena = Arena.ofConfined()) {
            int k = w.outChannels;
            int rows = w.batch * w.outs();
            MemorySegment dy = dy(arena, w);
            MemorySegment of = pitched(arena, random(arena, Kernels.BF16, rows * k, 4), rows, k, ldx);
            MemorySegment slope = random(arena, Kernels.F32, k, 5);
            MemorySegment shift = random(arena, Kernels.F32, k, 6);
            MemorySegment owed = arena.allocate(KernelStructs.OWED_BYTES, 8);
            KernelStructs.putOwed(owed, of, ldx, slope, shift);
            if (how == Owed.BEFORE) Kernels.settle(Kernels.BF16, dy, k, of, ldx, slope, shift, dy, k, rows, k);
            int size = k * w.channels * w.taps();
            MemorySegment dw = empty(arena, Kernels.F32, size);
            long bytes = weightsScratch(arena, w, threads);
            StemKernels.backwardWeights(w.write(arena), x(arena, w), dy, how == Owed.ON_THE_WAY ? owed : NULL, dw,
                    room(arena, bytes), bytes);
            return floats(dw, size);
        }
    }

    private static MemorySegment pitched(Arena arena, MemorySegment rows, int count, int c, int ld) {
        MemorySegment to = room(arena, 2L * count * ld);
        for (int r = 0; r < count; r++)
            MemorySegment.copy(rows, 2L * r * c, to, 2L * r * ld, 2L * c);
        return to;
    }

    private static MemorySegment x(Arena arena, Window w) {
        return random(arena, Kernels.BF16, w.batch * w.ins() * w.channels, 1);
    }

    private static MemorySegment w(Arena arena, Window w) {
        return random(arena, Kernels.F32, w.outChannels * w.channels * w.taps(), 2);
    }

    private static MemorySegment dy(Arena arena, Window w) {
        return random(arena, Kernels.BF16, w.batch * w.outs() * w.outChannels, 3);
    }

    private static double[] exact(Window w) {
        double[] y = new double[w.batch * w.outs() * w.outChannels];
        try (Arena arena = Arena.ofConfined()) {
            double[] x = read(Kernels.BF16, x(arena, w), w.batch * w.ins() * w.channels);
            double[] k = floats(w(arena, w), w.outChannels * w.channels * w.taps());
            for (int i = 0; i < k.length; i++)
                k[i] = Float.intBitsToFloat(bf16((float) k[i]) << 16);
            each(w, (to, from, at) -> y[to] += x[from] * k[at]);
        }
        return y;
    }

    private static double[] exactWeights(Window w) {
        double[] dw = new double[w.outChannels * w.channels * w.taps()];
        try (Arena arena = Arena.ofConfined()) {
            double[] x = read(Kernels.BF16, x(arena, w), w.batch * w.ins() * w.channels);
            double[] dy = read(Kernels.BF16, dy(arena, w), w.batch * w.outs() * w.outChannels);
            each(w, (to, from, at) -> dw[at] += x[from] * dy[to]);
        }
        return dw;
    }

    private interface Term {
        void add(int y, int x, int weight);
    }

    private static void each(Window w, Term term) {
        w.each((n, o, tap, i) -> {
            for (int to = 0; to < w.outChannels; to++)
                for (int from = 0; from < w.channels; from++)
                    term.add(o * w.outChannels + to, i * w.channels + from,
                            (to * w.channels + from) * w.taps() + tap);
        });
    }
}
