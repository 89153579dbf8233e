package isthmus.bindings.kernels;

import static isthmus.bindings.kernels.Numbers.TYPES;
import static isthmus.bindings.kernels.Numbers.buffer;
import static isthmus.bindings.kernels.Numbers.close;
import static isthmus.bindings.kernels.Numbers.empty;
import static isthmus.bindings.kernels.Numbers.floats;
import static isthmus.bindings.kernels.Numbers.random;
import static isthmus.bindings.kernels.Numbers.read;
import static isthmus.bindings.kernels.Window.v;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.bindings.NativeException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Pooling and direct convolution against their definitions, over two and three dimensions. */
class WindowKernelsTest {
    private static final List<Window> WINDOWS = List.of(
            new Window(1, 1, 1, 1, v(1, 1, 1), v(1, 1, 1), v(1, 1, 1), v(0, 0, 0), v(1, 1, 1)),
            new Window(2, 3, 5, 1, v(1, 7, 5), v(1, 3, 3), v(1, 2, 2), v(0, 1, 1), v(1, 1, 1)),
            new Window(1, 17, 65, 1, v(1, 6, 9), v(1, 2, 3), v(1, 1, 2), v(0, 1, 0), v(1, 2, 1)),
            new Window(2, 6, 4, 2, v(3, 4, 5), v(2, 3, 3), v(1, 2, 1), v(1, 1, 1), v(1, 1, 2)),
            new Window(1, 67, 67, 67, v(1, 9, 8), v(1, 3, 3), v(1, 2, 2), v(0, 1, 1), v(1, 1, 1)),
            new Window(1, 8, 24, 8, v(1, 5, 5), v(1, 5, 5), v(1, 1, 1), v(0, 2, 2), v(1, 1, 1)),
            new Window(2, 16, 32, 1, v(1, 19, 23), v(1, 3, 3), v(1, 1, 1), v(0, 1, 1), v(1, 1, 1)),
            new Window(2, 32, 8, 1, v(1, 6, 8), v(1, 2, 2), v(1, 2, 2), v(0, 0, 0), v(1, 1, 1)),
            new Window(3, 67, 5, 1, v(4, 2, 6), v(2, 2, 2), v(2, 2, 2), v(0, 0, 0), v(1, 1, 1)),
            new Window(1, 5, 5, 1, v(4, 4, 4), v(2, 1, 2), v(2, 1, 2), v(0, 0, 0), v(1, 1, 1)),
            new Window(1, 6, 6, 1, v(1, 5, 7), v(1, 2, 2), v(1, 2, 2), v(0, 0, 0), v(1, 1, 1)),
            new Window(1, 4, 4, 4, v(4, 4, 4), v(3, 3, 3), v(3, 3, 3), v(0, 0, 0), v(1, 1, 1)));

    /** What goes in, seeded, in native memory and as float64, and room for what comes out. */
    private static final class Operands {
        final int xs;
        final int ys;
        final MemorySegment window;
        final MemorySegment x;
        final MemorySegment dy;
        final MemorySegment y;
        final MemorySegment dx;
        final double[] ex;
        final double[] edy;

        Operands(Arena arena, int type, Window w, int outChannels) {
            xs = w.batch * w.ins() * w.channels;
            ys = w.batch * w.outs() * outChannels;
            window = w.write(arena);
            x = random(arena, type, xs, 1);
            dy = random(arena, type, ys, 2);
            y = empty(arena, type, ys);
            dx = empty(arena, type, xs);
            ex = read(type, x, xs);
            edy = read(type, dy, ys);
        }
    }

    @Test
    void maxPool() {
        for (int type : TYPES)
            for (Window w : WINDOWS)
                maxPool(type, w);
    }

    private static void maxPool(int type, Window w) {
        try (Arena arena = Arena.ofConfined()) {
            int c = w.channels;
            Operands a = new Operands(arena, type, w, c);
            MemorySegment position = arena.allocate(a.ys, 64);
            double[] ey = new double[a.ys];
            Arrays.fill(ey, Double.NEGATIVE_INFINITY);
            int[] won = new int[a.ys];
            int[] from = new int[a.ys];
            w.each((n, o, k, i) -> {
                for (int j = 0; j < c; j++) {
                    if (a.ex[i * c + j] > ey[o * c + j]) {
                        ey[o * c + j] = a.ex[i * c + j];
                        won[o * c + j] = k;
                        from[o * c + j] = i * c + j;
                    }
                }
            });
            WindowKernels.maxPool(type, a.window, a.x, a.y, position);
            close("max_pool " + w, ey, read(type, a.y, a.ys), 0);
            double[] edx = new double[a.xs];
            for (int i = 0; i < a.ys; i++) {
                assertEquals(won[i], position.get(ValueLayout.JAVA_BYTE, i) & 255);
                edx[from[i]] += a.edy[i];
            }
            WindowKernels.maxPoolBackward(type, a.window, a.dy, position, a.dx);
            close("max_pool_backward " + w, edx, read(type, a.dx, a.xs), 2 * Numbers.step(type));
        }
    }

    @Test
    void avgPool() {
        for (int type : TYPES)
            for (Window w : WINDOWS)
                avgPool(type, w);
    }

    private static void avgPool(int type, Window w) {
        try (Arena arena = Arena.ofConfined()) {
            int c = w.channels;
            Operands a = new Operands(arena, type, w, c);
            double[] ey = new double[a.ys];
            double[] edx = new double[a.xs];
            w.each((n, o, k, i) -> {
                for (int j = 0; j < c; j++) {
                    ey[o * c + j] += a.ex[i * c + j] / w.taps();
                    edx[i * c + j] += a.edy[o * c + j] / w.taps();
                }
            });
            WindowKernels.avgPool(type, a.window, a.x, a.y);
            WindowKernels.avgPoolBackward(type, a.window, a.dy, a.dx);
            close("avg_pool " + w, ey, read(type, a.y, a.ys), Numbers.step(type));
            close("avg_pool_backward " + w, edx, read(type, a.dx, a.xs), Numbers.step(type));
        }
    }

    @Test
    void convolution() {
        for (int type : TYPES)
            for (Window w : WINDOWS)
                convolution(type, w);
    }

    private static void convolution(int type, Window w) {
        try (Arena arena = Arena.ofConfined()) {
            int c = w.channels;
            int m = w.outChannels;
            int ins = c / w.groups;
            int outs = m / w.groups;
            int ws = m * ins * w.taps();
            Operands a = new Operands(arena, type, w, m);
            MemorySegment weight = random(arena, Kernels.F32, ws, 3);
            MemorySegment bias = random(arena, Kernels.F32, m, 4);
            MemorySegment dw = empty(arena, Kernels.F32, ws);
            double[] ew = floats(weight, ws);
            double[] biases = floats(bias, m);
            double[] ey = new double[a.ys];
            for (int i = 0; i < a.ys; i++)
                ey[i] = biases[i % m];
            double[] edx = new double[a.xs];
            double[] edw = new double[ws];
            w.each((n, o, k, i) -> {
                for (int to = 0; to < m; to++) {
                    for (int from = 0; from < ins; from++) {
                        int xi = i * c + to / outs * ins + from;
                        int wi = (to * ins + from) * w.taps() + k;
                        ey[o * m + to] += a.ex[xi] * ew[wi];
                        edx[xi] += a.edy[o * m + to] * ew[wi];
                        edw[wi] += a.edy[o * m + to] * a.ex[xi];
                    }
                }
            });
            WindowKernels.conv(type, a.window, a.x, weight, bias, a.y);
            WindowKernels.convBackwardData(type, a.window, a.dy, weight, a.dx);
            WindowKernels.convBackwardWeights(type, a.window, a.x, a.dy, dw);
            // float32 sums: the error grows with the number of terms
            double tolerance = Numbers.step(type) + 1e-7 * w.taps() * Math.max(ins, outs);
            close("conv " + w, ey, read(type, a.y, a.ys), tolerance);
            close("conv_backward_data " + w, edx, read(type, a.dx, a.xs), tolerance);
            close("conv_backward_weights " + w, edw, floats(dw, ws), 1e-5);
        }
    }

    @Test
    void globalAvgPool() {
        for (int type : TYPES) {
            for (int[] s : new int[][]{{1, 1, 1}, {2, 49, 65}, {3, 7, 17}, {5, 101, 64}}) {
                try (Arena arena = Arena.ofConfined()) {
                    int xs = s[0] * s[1] * s[2];
                    int ys = s[0] * s[2];
                    MemorySegment x = random(arena, type, xs, 1);
                    MemorySegment y = empty(arena, type, ys);
                    double[] ex = read(type, x, xs);
                    double[] ey = new double[ys];
                    for (int i = 0; i < xs; i++)
                        ey[i / s[2] / s[1] * s[2] + i % s[2]] += ex[i] / s[1];
                    WindowKernels.globalAvgPool(type, x, y, s[0], s[1], s[2]);
                    close("global_avg_pool", ey, read(type, y, ys), Numbers.step(type));
                    double[] dy = read(type, y, ys);
                    for (int i = 0; i < xs; i++)
                        ex[i] = dy[i / s[2] / s[1] * s[2] + i % s[2]] / s[1];
                    WindowKernels.globalAvgPoolBackward(type, y, x, s[0], s[1], s[2]);
                    close("global_avg_pool_backward", ex, read(type, x, xs), Numbers.step(type));
                }
            }
        }
    }

    @Test
    void aNumberThatIsNoneWins() {
        try (Arena arena = Arena.ofConfined()) {
            Window w = new Window(1, 1, 1, 1, v(1, 1, 3), v(1, 1, 3), v(1, 1, 1), v(0, 0, 0), v(1, 1, 1));
            MemorySegment y = empty(arena, Kernels.F32, 1);
            WindowKernels.maxPool(Kernels.F32, w.write(arena), buffer(arena, Kernels.F32, 5, Double.NaN, 7), y,
                    MemorySegment.NULL);
            assertTrue(Double.isNaN(floats(y, 1)[0]));
        }
    }

    @Test
    void refusesWhatDoesNotFit() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment window = new Window(1, 6, 4, 4, v(1, 5, 5), v(1, 3, 3), v(1, 1, 1), v(0, 0, 0), v(1, 1, 1))
                    .write(arena);
            MemorySegment x = empty(arena, Kernels.F32, 150);
            var e = assertThrows(NativeException.class, () -> WindowKernels.conv(Kernels.F32, window, x, x, x, x));
            assertTrue(e.getMessage().contains("6 channels to 4 do not part into 4 groups"), e.getMessage());
            window.setAtIndex(ValueLayout.JAVA_LONG, 9, 4); // an output that reaches beyond the input
            e = assertThrows(NativeException.class, () -> WindowKernels.avgPool(Kernels.F32, window, x, x));
            assertTrue(e.getMessage().contains("axis 2 of the window does not fit: in 5, out 4"), e.getMessage());
        }
    }
}
