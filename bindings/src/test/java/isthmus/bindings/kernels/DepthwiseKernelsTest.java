package isthmus.bindings.kernels;

import static isthmus.bindings.kernels.Numbers.TYPES;
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
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/**
 * The fast depthwise kernels against the direct ones, which {@link WindowKernelsTest} holds against the definition: drawn
 * windows in two and three dimensions, channels around every vector's width, lines shorter and longer than a tile.
 */
class DepthwiseKernelsTest {
    private static final int[] CHANNELS = {1, 3, 4, 7, 8, 15, 16, 17, 24, 31, 32, 33, 48, 65, 96};
    private static final int DRAWN = 300;

    private static Window draw(long seed) {
        var r = new SplittableRandom(seed);
        boolean flat = r.nextInt(4) > 0;
        long[][] axes = new long[5][3];
        for (int d = 0; d < 3; d++) {
            long kernel = flat && d == 0
                    ? 1
                    : d == 2 ? List.of(1L, 2L, 3L, 3L, 5L, 5L, 7L).get(r.nextInt(7)) : 1 + r.nextInt(5);
            long stride = flat && d == 0 ? 1 : 1 + r.nextInt(3);
            long dilation = stride == 1 && r.nextInt(4) == 0 ? 2 : 1;
            long padding = r.nextInt((int) (dilation * (kernel - 1)) + 1);
            long least = Math.max(1, dilation * (kernel - 1) + 1 - 2 * padding);
            long in = flat && d == 0 ? 1 : least + r.nextInt(d == 2 ? 20 : 5);
            long[] of = {in, kernel, stride, padding, dilation};
            for (int i = 0; i < of.length; i++)
                axes[i][d] = of[i];
        }
        int batch = 1 + r.nextInt(3);
        int c = CHANNELS[r.nextInt(CHANNELS.length)];
        return new Window(batch, c, c, c, axes[0], axes[1], axes[2], axes[3], axes[4]);
    }

    @Test
    void agreeWithTheDirectKernels() {
        for (long seed = 0; seed < DRAWN; seed++)
            for (int type : TYPES)
                agree("seed " + seed, type, draw(seed));
    }

    /** Large enough for every thread to have its share. */
    @Test
    void agreeOnTheWindowsOfNetworks() {
        for (int type : TYPES)
            for (int kernel : new int[]{3, 5})
                for (int stride : new int[]{1, 2})
                    for (int side : new int[]{7, 14, 29})
                        agree("kernel " + kernel + ", stride " + stride + ", side " + side, type,
                                network(side, kernel, stride));
    }

    private static Window network(long side, long kernel, long stride) {
        return new Window(4, 48, 48, 48, v(1, side, side), v(1, kernel, kernel), v(1, stride, stride),
                v(0, kernel / 2, kernel / 2), v(1, 1, 1));
    }

    private static void agree(String what, int type, Window g) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment window = g.write(arena);
            int xs = g.batch * g.ins() * g.channels;
            int ys = g.batch * g.outs() * g.channels;
            int ws = g.taps() * g.channels;
            MemorySegment x = random(arena, type, xs, 1);
            MemorySegment dy = random(arena, type, ys, 2);
            MemorySegment w = random(arena, Kernels.F32, ws, 3);
            MemorySegment bias = random(arena, Kernels.F32, g.channels, 4);
            MemorySegment expected = empty(arena, type, Math.max(xs, ys));
            MemorySegment got = empty(arena, type, Math.max(xs, ys));
            double tolerance = type == Kernels.F32 ? 2e-5 : 2 * Numbers.step(type); // both are rounded
            for (MemorySegment b : List.of(bias, MemorySegment.NULL)) {
                WindowKernels.conv(type, window, x, w, b, expected);
                DepthwiseKernels.forward(type, window, x, w, b, got);
                close(what + " forward " + g, read(type, expected, ys), read(type, got, ys), tolerance);
            }
            WindowKernels.convBackwardData(type, window, dy, w, expected);
            DepthwiseKernels.backwardData(type, window, dy, w, got);
            close(what + " data " + g, read(type, expected, xs), read(type, got, xs), tolerance);
            MemorySegment dw = empty(arena, Kernels.F32, ws);
            MemorySegment expectedDw = empty(arena, Kernels.F32, ws);
            WindowKernels.convBackwardWeights(type, window, x, dy, expectedDw);
            DepthwiseKernels.backwardWeights(type, window, x, dy, dw);
            close(what + " weights " + g, floats(expectedDw, ws), floats(dw, ws), 1e-4);
        }
    }

    @Test
    void sameThreadsSameBits() {
        try (Arena arena = Arena.ofConfined()) {
            Window g = network(29, 5, 1);
            int size = g.batch * g.ins() * g.channels; // of x and dy
            int ws = g.taps() * g.channels;
            MemorySegment window = g.write(arena);
            MemorySegment x = random(arena, Kernels.F32, size, 1);
            MemorySegment dy = random(arena, Kernels.F32, size, 2);
            MemorySegment first = empty(arena, Kernels.F32, ws);
            DepthwiseKernels.backwardWeights(Kernels.F32, window, x, dy, first);
            for (int i = 0; i < 10; i++) {
                MemorySegment dw = empty(arena, Kernels.F32, ws);
                DepthwiseKernels.backwardWeights(Kernels.F32, window, x, dy, dw);
                assertEquals(-1, first.mismatch(dw));
            }
        }
    }

    @Test
    void refusesOtherGroups() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment window = new Window(1, 6, 6, 3, v(1, 1, 1), v(1, 1, 1), v(1, 1, 1), v(0, 0, 0), v(1, 1, 1))
                    .write(arena);
            MemorySegment x = empty(arena, Kernels.F32, 12);
            var e = assertThrows(NativeException.class,
                    () -> DepthwiseKernels.forward(Kernels.F32, window, x, x, x, x));
            assertTrue(e.getMessage().contains("6 channels to 6 in 3 groups"), e.getMessage());
        }
    }
}
