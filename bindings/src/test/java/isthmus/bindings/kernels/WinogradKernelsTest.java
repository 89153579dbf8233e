package isthmus.bindings.kernels;

import static isthmus.bindings.kernels.Bf16Products.assumeServed;
import static isthmus.bindings.kernels.Bf16Products.served;
import static isthmus.bindings.kernels.Numbers.empty;
import static isthmus.bindings.kernels.Numbers.floats;
import static isthmus.bindings.kernels.Numbers.random;
import static isthmus.bindings.kernels.Numbers.read;
import static isthmus.bindings.kernels.Window.v;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.bindings.NativeException;
import isthmus.bindings.onednn.OneDnn;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Winograd's convolution, forward and as a data gradient, against float64. */
class WinogradKernelsTest {
    /** Relative L2: the result's rounding to bf16 is 0.0012 of it, those of the transformed operands are the rest. */
    static final double MOST = 6e-3;

    /** What lies between two pixels, beside the channels. */
    private static final int GAP = 7;

    /** Odd and even maps, fewer tiles than a group and several chunks of them, paddings none, one and two, depth. */
    static final List<Window> WINDOWS = List.of(
            window(2, 32, 32, v(1, 7, 9), 1, 1, 0),
            window(1, 64, 32, v(1, 5, 6), 1, 0, 0),
            window(9, 32, 64, v(1, 5, 5), 1, 1, 0),
            window(5, 64, 32, v(1, 7, 7), 1, 1, 0),
            window(1, 32, 32, v(1, 3, 150), 1, 1, 0),
            window(3, 32, 96, v(5, 8, 7), 3, 1, 1),
            window(1, 32, 64, v(6, 9, 9), 3, 2, 2),
            window(2, 96, 64, v(1, 14, 14), 1, 1, 0),
            window(1, 32, 32, v(26, 7, 6), 2, 1, 0),
            window(2, 32, 32, v(1, 31, 33), 1, 1, 0));

    private static Window window(int batch, int channels, int out, long[] in, int taps, int padding, int deep) {
        return new Window(batch, channels, out, 1, in, v(taps, 3, 3), v(1, 1, 1), v(deep, padding, padding),
                v(1, 1, 1));
    }

    /** The window of the data gradient. */
    static Window turned(Window w) {
        long[] rest = new long[3];
        for (int d = 0; d < 3; d++)
            rest[d] = w.kernel[d] - 1 - w.padding[d];
        return new Window(w.batch, w.outChannels, w.channels, 1, w.out(), w.kernel, w.stride, rest, w.dilation);
    }

    @Test
    void forward() {
        assumeServed();
        for (Window w : WINDOWS) {
            for (boolean bias : new boolean[]{true, false})
                assertNear(exact(w, bias), run(w, false, bias, 8), w + ", bias " + bias);
        }
    }

    @Test
    void dataGradient() {
        assumeServed();
        for (Window w : WINDOWS)
            assertNear(exactGradient(w), run(turned(w), true, false, 8), "gradient of " + w);
    }

    /** y may be columns of wider rows, whose others stay. */
    @Test
    void pitchedOutput() {
        assumeServed();
        for (Window w : WINDOWS) {
            double[] rows = run(w, w.outChannels + GAP, false, true, 2);
            double[] close = run(w, false, true, 2);
            double[] expected = new double[rows.length];
            for (int i = 0; i < rows.length; i++) {
                int column = i % (w.outChannels + GAP);
                expected[i] = column < w.outChannels
                        ? close[i / (w.outChannels + GAP) * w.outChannels + column]
                        : Float.intBitsToFloat(0x1111 << 16);
            }
            assertArrayEquals(expected, rows, w + "");
        }
    }

    /** As the kernel that reads y for them gives them. */
    @Test
    void statisticsOfOutput() {
        assumeServed();
        for (Window w : WINDOWS) {
            try (Arena arena = Arena.ofConfined()) {
                int k = w.outChannels;
                int rows = w.batch * w.outs();
                MemorySegment[] got = {empty(arena, Kernels.F32, k), empty(arena, Kernels.F32, k)};
                MemorySegment[] expected = {empty(arena, Kernels.F32, k), empty(arena, Kernels.F32, k)};
                MemorySegment y = empty(arena, Kernels.BF16, rows * (k + GAP));
                long bytes = scratch(w, 2, arena);
                WinogradKernels.winograd(w.write(arena), x(arena, w), w.channels, MemorySegment.NULL,
                        MemorySegment.NULL, weight(arena, w), false,
                        random(arena, Kernels.F32, k, 3), y, k + GAP, got[0], got[1], MemorySegment.NULL,
                        arena.allocate(bytes, 64).fill((byte) 0xff), bytes);
                Kernels.channelStatistics(Kernels.BF16, y, k + GAP, rows, k, expected[0], expected[1]);
                for (int i = 0; i < 2; i++)
                    assertArrayEquals(floats(expected[i], k), floats(got[i], k), 1e-4, w + ", number " + i);
            }
        }
    }

    @Test
    void bitsDoNotDependOnThreads() {
        assumeServed();
        int before = Runtime.getRuntime().availableProcessors();
        try {
            for (Window w : WINDOWS) {
                OneDnn.ompSetNumThreads(1);
                double[] alone = run(w, false, true, 1);
                for (int threads : new int[]{2, 5}) {
                    OneDnn.ompSetNumThreads(threads);
                    assertArrayEquals(alone, run(w, false, true, threads), w + " on " + threads);
                    assertArrayEquals(alone, run(w, false, true, 1), w + " with memory for one");
                }
            }
        } finally {
            OneDnn.ompSetNumThreads(before);
        }
    }

    @Test
    void refusals() {
        try (Arena arena = Arena.ofConfined()) {
            Window w = WINDOWS.get(0);
            if (!served()) {
                var e = assertThrows(NativeException.class, () -> scratch(w, 1, arena));
                assertTrue(e.getMessage().contains("AVX-512 BF16"), e.getMessage());
                return;
            }
            assertRefused(arena, window(1, 33, 32, v(1, 5, 5), 1, 1, 0), "33 channels to 32 in 1 groups");
            assertRefused(arena, new Window(1, 32, 32, 1, v(1, 5, 5), v(1, 3, 5), v(1, 1, 1), v(0, 1, 1), v(1, 1, 1)),
                    "axis 2 of the window: kernel 5");
            assertRefused(arena, new Window(1, 32, 32, 1, v(1, 5, 5), v(1, 3, 3), v(1, 2, 1), v(0, 1, 1), v(1, 1, 1)),
                    "axis 1 of the window: kernel 3, stride 2");
            MemorySegment any = empty(arena, Kernels.F32, 32 * 32 * 9);
            long one = scratch(w, 1, arena);
            MemorySegment none = MemorySegment.NULL;
            var e = assertThrows(NativeException.class,
                    () -> WinogradKernels.winograd(w.write(arena), any, 32, none, none, any, false, any, any, 32, none,
                            none,
                            none, any,
                            one - 2));
            assertTrue(e.getMessage().contains((one - 2) + " bytes of scratch memory; one thread needs " + one),
                    e.getMessage());
            e = assertThrows(NativeException.class,
                    () -> WinogradKernels.winograd(w.write(arena), any, 32, none, none, any, false, any, any, 31, none,
                            none,
                            none, any,
                            one));
            assertTrue(e.getMessage().contains("pixels of 32 channels are 31 apart"), e.getMessage());
            MemorySegment norm = arena.allocate(KernelStructs.NORM_BYTES, 8);
            KernelStructs.putNorm(norm, any, any, any, any, 1e-5, Kernels.SILU);
            e = assertThrows(NativeException.class,
                    () -> WinogradKernels.winograd(w.write(arena), any, 32, norm, none, any, false, any, any, 32, none,
                            none,
                            none, any,
                            one));
            assertTrue(e.getMessage().contains("the norm's activation is " + Kernels.SILU), e.getMessage());
        }
    }

    private static void assertRefused(Arena arena, Window w, String text) {
        var e = assertThrows(NativeException.class, () -> scratch(w, 1, arena));
        assertTrue(e.getMessage().contains(text), e.getMessage());
    }

    static long scratch(Window w, int threads, Arena arena) {
        MemorySegment bytes = arena.allocate(ValueLayout.JAVA_LONG);
        WinogradKernels.winogradScratch(w.write(arena), threads, bytes);
        return bytes.get(ValueLayout.JAVA_LONG, 0);
    }

    static MemorySegment x(Arena arena, Window w) {
        return random(arena, Kernels.BF16, w.batch * w.ins() * w.channels, 1);
    }

    static MemorySegment weight(Arena arena, Window w) {
        return random(arena, Kernels.F32, w.outChannels * w.channels * w.taps(), 2);
    }

    private static double[] run(Window w, boolean turned, boolean bias, int threads) {
        return run(w, w.outChannels, turned, bias, threads);
    }

    private static double[] run(Window w, int ldy, boolean turned, boolean bias, int threads) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment b = bias ? random(arena, Kernels.F32, w.outChannels, 3) : MemorySegment.NULL;
            return run(w, x(arena, w), MemorySegment.NULL, ldy, turned, b, threads);
        }
    }

    static double[] run(Window w, MemorySegment x, MemorySegment norm, int ldy, boolean turned, MemorySegment bias,
            int threads) {
        return run(w, x, w.channels, norm, MemorySegment.NULL, ldy, turned, bias, threads);
    }

    static double[] run(Window w, MemorySegment x, int ldx, MemorySegment norm, MemorySegment owed, int ldy,
            boolean turned, MemorySegment bias, int threads) {
        try (Arena arena = Arena.ofConfined()) {
            int size = w.batch * w.outs() * ldy;
            MemorySegment y = empty(arena, Kernels.BF16, size).fill((byte) 0x11);
            long bytes = scratch(w, threads, arena);
            MemorySegment scratch = arena.allocate(bytes, 64);
            scratch.fill((byte) 0xff); // NaNs, should anything be read that was not written
            WinogradKernels.winograd(w.write(arena), x, ldx, norm, owed, weight(arena, w), turned, bias, y, ldy,
                    MemorySegment.NULL, MemorySegment.NULL, MemorySegment.NULL, scratch, bytes);
            return read(Kernels.BF16, y, size);
        }
    }

    private static double[] exact(Window w, boolean bias) {
        double[] y = new double[w.batch * w.outs() * w.outChannels];
        try (Arena arena = Arena.ofConfined()) {
            double[] b = floats(random(arena, Kernels.F32, w.outChannels, 3), w.outChannels);
            for (int i = 0; bias && i < y.length; i++)
                y[i] = b[i % w.outChannels];
            double[] x = read(Kernels.BF16, x(arena, w), w.batch * w.ins() * w.channels);
            each(arena, w, (to, from, k) -> y[to] += x[from] * k);
        }
        return y;
    }

    static double[] exactGradient(Window w) {
        double[] dx = new double[w.batch * w.ins() * w.channels];
        try (Arena arena = Arena.ofConfined()) {
            Window back = turned(w);
            double[] dy = read(Kernels.BF16, x(arena, back), w.batch * w.outs() * w.outChannels);
            each(arena, w, (to, from, k) -> dx[from] += dy[to] * k);
        }
        return dx;
    }

    private interface Term {
        void add(int y, int x, double weight);
    }

    private static void each(Arena arena, Window w, Term term) {
        double[] k = floats(weight(arena, w), w.outChannels * w.channels * w.taps());
        w.each((n, o, tap, i) -> {
            for (int to = 0; to < w.outChannels; to++)
                for (int from = 0; from < w.channels; from++)
                    term.add(o * w.outChannels + to, i * w.channels + from,
                            k[(to * w.channels + from) * w.taps() + tap]);
        });
    }

    private static void assertNear(double[] exact, double[] ours, String what) { assertNear(exact, ours, MOST, what); }

    static void assertNear(double[] exact, double[] ours, double most, String what) {
        double difference = 0;
        double size = 0;
        for (int i = 0; i < exact.length; i++) {
            difference += (exact[i] - ours[i]) * (exact[i] - ours[i]);
            size += exact[i] * exact[i];
        }
        double error = Math.sqrt(difference / size);
        assertTrue(error < most, what + ": error " + error);
    }
}
