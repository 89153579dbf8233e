package isthmus.bindings.kernels;

import static isthmus.bindings.kernels.Numbers.empty;
import static isthmus.bindings.kernels.Numbers.floats;
import static isthmus.bindings.kernels.Numbers.random;
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
import org.junit.jupiter.api.Test;

/** The dense convolution against float64: its point is how small its error is, however many terms a sum has. */
class DenseConvKernelsTest {
    /** Relative L2; one rounding to float32 alone is 2.6e-8 of it, a float32 sum of 1000 terms 40e-8. */
    private static final double MOST = 8e-8;

    /** Odd channels, tails of pixels, channels and terms, strides, dilations, padding wider than the kernel's reach. */
    private static final List<Window> WINDOWS = List.of(
            new Window(1, 1, 1, 1, v(1, 1, 1), v(1, 1, 1), v(1, 1, 1), v(0, 0, 0), v(1, 1, 1)),
            new Window(2, 1, 32, 1, v(1, 9, 8), v(1, 3, 3), v(1, 1, 1), v(0, 1, 1), v(1, 1, 1)),
            new Window(3, 3, 64, 1, v(1, 21, 22), v(1, 7, 7), v(1, 2, 2), v(0, 3, 3), v(1, 1, 1)),
            new Window(2, 5, 33, 1, v(1, 7, 5), v(1, 3, 3), v(1, 2, 2), v(0, 1, 1), v(1, 1, 1)),
            new Window(1, 17, 65, 1, v(1, 6, 9), v(1, 2, 3), v(1, 1, 2), v(0, 1, 0), v(1, 2, 1)),
            new Window(1, 64, 17, 1, v(1, 15, 14), v(1, 3, 3), v(1, 1, 1), v(0, 1, 1), v(1, 1, 1)),
            new Window(2, 40, 24, 1, v(1, 5, 5), v(1, 3, 3), v(1, 1, 1), v(0, 4, 4), v(1, 1, 2)),
            new Window(4, 256, 272, 1, v(1, 2, 2), v(1, 3, 3), v(1, 1, 1), v(0, 1, 1), v(1, 1, 1)),
            new Window(5, 300, 20, 1, v(1, 1, 7), v(1, 1, 1), v(1, 1, 2), v(0, 0, 0), v(1, 1, 1)),
            new Window(1, 8, 8, 1, v(6, 7, 5), v(3, 3, 3), v(1, 1, 1), v(1, 1, 1), v(1, 1, 1)),
            new Window(2, 6, 9, 1, v(5, 6, 7), v(2, 3, 3), v(1, 2, 1), v(1, 1, 1), v(2, 1, 2)));

    @Test
    void nearFloat64() {
        for (Window w : WINDOWS) {
            for (boolean bias : new boolean[]{true, false}) {
                Operands o = new Operands(w, bias);
                double error = distance(o.run(8), o.exact(), o.exact());
                assertTrue(error < MOST, w + ": error " + error);
            }
        }
    }

    /** The bound means something: sums in float32 would not keep it. */
    @Test
    void nearerThanFloat32() {
        Window w = WINDOWS.get(7);
        Operands o = new Operands(w, false);
        double plain = distance(o.float32(), o.exact(), o.exact());
        double ours = distance(o.run(8), o.exact(), o.exact());
        assertTrue(plain > 4 * MOST && plain > 5 * ours, "float32 sums " + plain + ", ours " + ours);
    }

    /** Large terms that cancel leave small ones whole: 2^24 at the start and -2^24 at the end, ones between. */
    @Test
    void cancellation() {
        try (Arena arena = Arena.ofConfined()) {
            int n = 1000;
            MemorySegment x = empty(arena, Kernels.F32, n);
            MemorySegment one = empty(arena, Kernels.F32, n);
            for (int i = 0; i < n; i++) {
                x.setAtIndex(ValueLayout.JAVA_FLOAT, i, i == 0 ? 1 << 24 : i == n - 1 ? -(1 << 24) : 1);
                one.setAtIndex(ValueLayout.JAVA_FLOAT, i, 1);
            }
            Window w = new Window(1, n, 1, 1, v(1, 1, 1), v(1, 1, 1), v(1, 1, 1), v(0, 0, 0), v(1, 1, 1));
            MemorySegment y = empty(arena, Kernels.F32, 1);
            run(w, x, one, MemorySegment.NULL, y, 1, arena);
            // a block of 8 that begins with 2^24 loses its own ones; no other block loses anything
            assertEquals(n - 2, floats(y, 1)[0], 8);
        }
    }

    @Test
    void bitsDoNotDependOnThreads() {
        int before = Runtime.getRuntime().availableProcessors();
        try {
            for (Window w : WINDOWS) {
                Operands o = new Operands(w, true);
                OneDnn.ompSetNumThreads(1);
                double[] alone = o.run(1);
                for (int threads : new int[]{2, 3, 7}) {
                    OneDnn.ompSetNumThreads(threads);
                    assertArrayEquals(alone, o.run(threads), w + " on " + threads);
                    assertArrayEquals(alone, o.run(1), w + " with memory for one");
                }
            }
        } finally {
            OneDnn.ompSetNumThreads(before);
        }
    }

    @Test
    void refusals() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = empty(arena, Kernels.F32, 200);
            Window grouped = new Window(1, 4, 4, 2, v(1, 5, 5), v(1, 1, 1), v(1, 1, 1), v(0, 0, 0), v(1, 1, 1));
            var e = assertThrows(NativeException.class,
                    () -> DenseConvKernels.convDense(grouped.write(arena), x, x, x, x, x, 1 << 20));
            assertTrue(e.getMessage().contains("4 output channels in 2 groups"), e.getMessage());
            Window w = new Window(1, 4, 4, 1, v(1, 5, 5), v(1, 1, 1), v(1, 1, 1), v(0, 0, 0), v(1, 1, 1));
            long one = scratch(w, 1, arena);
            e = assertThrows(NativeException.class,
                    () -> DenseConvKernels.convDense(w.write(arena), x, x, x, x, x, one - 4));
            assertTrue(e.getMessage().contains((one - 4) + " bytes of scratch memory; one thread needs " + one),
                    e.getMessage());
            e = assertThrows(NativeException.class, () -> scratch(w, 0, arena));
            assertTrue(e.getMessage().contains("0 threads"), e.getMessage());
        }
    }

    private static long scratch(Window w, int threads, Arena arena) {
        MemorySegment bytes = arena.allocate(ValueLayout.JAVA_LONG);
        DenseConvKernels.convDenseScratch(w.write(arena), threads, bytes);
        return bytes.get(ValueLayout.JAVA_LONG, 0);
    }

    private static void run(Window w, MemorySegment x, MemorySegment weight, MemorySegment bias, MemorySegment y,
            int threads, Arena arena) {
        long bytes = scratch(w, threads, arena);
        MemorySegment scratch = arena.allocate(bytes, 64);
        scratch.fill((byte) 0xff); // NaNs, should anything be read that was not written
        DenseConvKernels.convDense(w.write(arena), x, weight, bias, y, scratch, bytes);
    }

    private static double distance(double[] a, double[] b, double[] norm) {
        double difference = 0;
        double size = 0;
        for (int i = 0; i < a.length; i++) {
            difference += (a[i] - b[i]) * (a[i] - b[i]);
            size += norm[i] * norm[i];
        }
        return Math.sqrt(difference / size);
    }

    /** Seeded operands of one geometry, and the result by the definition. */
    private static final class Operands {
        private final Window w;
        private final int xs;
        private final int ws;
        private final int ys;
        private final boolean bias;

        Operands(Window w, boolean bias) {
            this.w = w;
            this.bias = bias;
            this.xs = w.batch * w.ins() * w.channels;
            this.ws = w.outChannels * w.channels * w.taps();
            this.ys = w.batch * w.outs() * w.outChannels;
        }

        double[] run(int threads) {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment b = bias ? random(arena, Kernels.F32, w.outChannels, 3) : MemorySegment.NULL;
                MemorySegment y = empty(arena, Kernels.F32, ys);
                DenseConvKernelsTest.run(w, random(arena, Kernels.F32, xs, 1), random(arena, Kernels.F32, ws, 2), b, y,
                        threads, arena);
                return floats(y, ys);
            }
        }

        double[] exact() {
            double[] y = start();
            try (Arena arena = Arena.ofConfined()) {
                double[] x = floats(random(arena, Kernels.F32, xs, 1), xs);
                double[] k = floats(random(arena, Kernels.F32, ws, 2), ws);
                each((to, from, at) -> y[to] += x[from] * k[at]);
            }
            return y;
        }

        double[] float32() {
            double[] y = start();
            try (Arena arena = Arena.ofConfined()) {
                double[] x = floats(random(arena, Kernels.F32, xs, 1), xs);
                double[] k = floats(random(arena, Kernels.F32, ws, 2), ws);
                each((to, from, at) -> y[to] = Math.fma((float) x[from], (float) k[at], (float) y[to]));
            }
            return y;
        }

        private double[] start() {
            double[] y = new double[ys];
            if (!bias) return y;
            try (Arena arena = Arena.ofConfined()) {
                double[] b = floats(random(arena, Kernels.F32, w.outChannels, 3), w.outChannels);
                for (int i = 0; i < ys; i++)
                    y[i] = b[i % w.outChannels];
            }
            return y;
        }

        private interface Term {
            void add(int y, int x, int weight);
        }

        private void each(Term term) {
            w.each((n, o, tap, i) -> {
                for (int to = 0; to < w.outChannels; to++)
                    for (int from = 0; from < w.channels; from++)
                        term.add(o * w.outChannels + to, i * w.channels + from,
                                (to * w.channels + from) * w.taps() + tap);
            });
        }
    }
}
