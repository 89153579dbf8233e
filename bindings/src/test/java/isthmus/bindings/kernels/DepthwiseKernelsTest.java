package isthmus.bindings.kernels;

import static isthmus.bindings.kernels.Numbers.TYPES;
import static isthmus.bindings.kernels.Numbers.close;
import static isthmus.bindings.kernels.Numbers.empty;
import static isthmus.bindings.kernels.Numbers.floats;
import static isthmus.bindings.kernels.Numbers.random;
import static isthmus.bindings.kernels.Numbers.read;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.bindings.NativeException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/**
 * The fast depthwise kernels against the direct ones, which {@link WindowKernelsTest} holds against the definition: drawn
 * windows in two and three dimensions, channels around every vector's width, lines shorter and longer than a tile.
 */
class DepthwiseKernelsTest {
    private static final int[] CHANNELS = {1, 3, 4, 7, 8, 15, 16, 17, 24, 31, 32, 33, 48, 65, 96};
    private static final int DRAWN = 300;

    private record Geometry(int batch, int channels, List<Long> in, List<Long> kernel, List<Long> stride,
            List<Long> padding, List<Long> dilation) {
        static Geometry draw(long seed) {
            var r = new SplittableRandom(seed);
            boolean flat = r.nextInt(4) > 0;
            long[][] axes = new long[3][];
            for (int d = 0; d < 3; d++) {
                long kernel = flat && d == 0
                        ? 1
                        : d == 2 ? List.of(1L, 2L, 3L, 3L, 5L, 5L, 7L).get(r.nextInt(7)) : 1 + r.nextInt(5);
                long stride = flat && d == 0 ? 1 : 1 + r.nextInt(3);
                long dilation = stride == 1 && r.nextInt(4) == 0 ? 2 : 1;
                long padding = r.nextInt((int) (dilation * (kernel - 1)) + 1);
                long least = Math.max(1, dilation * (kernel - 1) + 1 - 2 * padding);
                axes[d] = new long[]{flat && d == 0 ? 1 : least + r.nextInt(d == 2 ? 20 : 5), kernel, stride, padding,
                        dilation};
            }
            return new Geometry(1 + r.nextInt(3), CHANNELS[r.nextInt(CHANNELS.length)], part(axes, 0), part(axes, 1),
                    part(axes, 2), part(axes, 3), part(axes, 4));
        }

        private static List<Long> part(long[][] axes, int i) { return Arrays.stream(axes).map(a -> a[i]).toList(); }

        long[] out() {
            return IntStream.range(0, 3).mapToLong(d -> (in.get(d) + 2 * padding.get(d)
                    - dilation.get(d) * (kernel.get(d) - 1) - 1) / stride.get(d) + 1).toArray();
        }

        MemorySegment write(Arena arena) {
            MemorySegment to = arena.allocate(KernelStructs.WINDOW_BYTES, 8);
            KernelStructs.putWindow(to, batch, channels, channels, channels, longs(in), out(), longs(kernel),
                    longs(stride), longs(padding), longs(dilation));
            return to;
        }

        static long[] longs(List<Long> v) { return v.stream().mapToLong(Long::longValue).toArray(); }

        int elements(long[] shape) { return (int) ((long) batch * channels * shape[0] * shape[1] * shape[2]); }

        int weights() { return (int) (channels * kernel.get(0) * kernel.get(1) * kernel.get(2)); }
    }

    @Test
    void agreeWithTheDirectKernels() {
        for (long seed = 0; seed < DRAWN; seed++)
            for (int type : TYPES)
                agree("seed " + seed, type, Geometry.draw(seed));
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

    private static Geometry network(long side, long kernel, long stride) {
        return new Geometry(4, 48, List.of(1L, side, side), List.of(1L, kernel, kernel), List.of(1L, stride, stride),
                List.of(0L, kernel / 2, kernel / 2), List.of(1L, 1L, 1L));
    }

    private static void agree(String what, int type, Geometry g) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment window = g.write(arena);
            int xs = g.elements(Geometry.longs(g.in));
            int ys = g.elements(g.out());
            MemorySegment x = random(arena, type, xs, 1);
            MemorySegment dy = random(arena, type, ys, 2);
            MemorySegment w = random(arena, Kernels.F32, g.weights(), 3);
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
            MemorySegment dw = empty(arena, Kernels.F32, g.weights());
            MemorySegment expectedDw = empty(arena, Kernels.F32, g.weights());
            WindowKernels.convBackwardWeights(type, window, x, dy, expectedDw);
            DepthwiseKernels.backwardWeights(type, window, x, dy, dw);
            close(what + " weights " + g, floats(expectedDw, g.weights()), floats(dw, g.weights()), 1e-4);
        }
    }

    @Test
    void sameThreadsSameBits() {
        try (Arena arena = Arena.ofConfined()) {
            Geometry g = network(29, 5, 1);
            MemorySegment window = g.write(arena);
            MemorySegment x = random(arena, Kernels.F32, g.elements(Geometry.longs(g.in)), 1);
            MemorySegment dy = random(arena, Kernels.F32, g.elements(g.out()), 2);
            MemorySegment first = empty(arena, Kernels.F32, g.weights());
            DepthwiseKernels.backwardWeights(Kernels.F32, window, x, dy, first);
            for (int i = 0; i < 10; i++) {
                MemorySegment dw = empty(arena, Kernels.F32, g.weights());
                DepthwiseKernels.backwardWeights(Kernels.F32, window, x, dy, dw);
                assertEquals(-1, first.mismatch(dw));
            }
        }
    }

    @Test
    void refusesOtherGroups() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment window = arena.allocate(KernelStructs.WINDOW_BYTES, 8);
            long[] one = {1, 1, 1};
            KernelStructs.putWindow(window, 1, 6, 6, 3, one, one, one, one, new long[3], one);
            MemorySegment x = empty(arena, Kernels.F32, 12);
            var e = assertThrows(NativeException.class,
                    () -> DepthwiseKernels.forward(Kernels.F32, window, x, x, x, x));
            assertTrue(e.getMessage().contains("6 channels to 6 in 3 groups"), e.getMessage());
        }
    }
}
