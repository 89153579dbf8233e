package isthmus.bindings.kernels;

import static isthmus.bindings.kernels.Numbers.TYPES;
import static isthmus.bindings.kernels.Numbers.empty;
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

/** Known answers, the same bits on any number of threads, refusals. */
class PictureKernelsTest {
    private static final long ONE = 1L << 32;
    private static final int TONES = 48;
    private static final int PIXELS = TONES + 1024;

    /** Squares whose tones are the greys themselves; {@code pixels} holds one square, which all share. */
    private static MemorySegment squares(Arena arena, int n, int side, byte[] pixels, long... place) {
        int bytes = (PIXELS + side * side + 15) / 16 * 16;
        MemorySegment x = arena.allocate((long) n * bytes, 64);
        for (int i = 0; i < n; i++) {
            MemorySegment one = x.asSlice((long) i * bytes, bytes);
            MemorySegment.copy(place, 0, one, ValueLayout.JAVA_LONG, 0, place.length);
            for (int tone = 0; tone < 256; tone++)
                one.set(ValueLayout.JAVA_FLOAT, TONES + 4L * tone, tone);
            MemorySegment.copy(pixels, 0, one, ValueLayout.JAVA_BYTE, PIXELS, pixels.length);
        }
        return x;
    }

    private static double[] warped(int type, byte[] pixels, int side, int size, double mean, double scale,
            long... place) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment y = empty(arena, type, size * size);
            PictureKernels.warpAffine(squares(arena, 1, side, pixels, place), side, type, y,
                    Numbers.buffer(arena, Kernels.F32, mean), Numbers.buffer(arena, Kernels.F32, scale), 1, size, 1);
            return read(type, y, size * size);
        }
    }

    @Test
    void knownAnswers() {
        byte[] square = {10, 20, 30, 40, 50, 60, 70, 80, (byte) 250};
        for (int type : TYPES) {
            assertArrayEquals(new double[]{50, 60, 80, 250},
                    warped(type, square, 3, 2, 0, 1, ONE, ONE, ONE, 0, 0, ONE), "cut out");
            assertArrayEquals(new double[]{30, 20, 60, 50},
                    warped(type, square, 3, 2, 0, 1, 2 * ONE, 0, -ONE, 0, 0, ONE), "mirrored");
            assertArrayEquals(new double[]{10, 40, 20, 50},
                    warped(type, square, 3, 2, 0, 1, 0, 0, 0, ONE, ONE, 0), "turned");
            assertArrayEquals(new double[]{15, 25, 45, 55},
                    warped(type, square, 3, 2, 0, 1, ONE / 2, 0, ONE, 0, 0, ONE), "between two");
            assertArrayEquals(new double[]{30, 40, 45, 55},
                    warped(type, square, 3, 2, 0, 1, ONE / 2, ONE / 2, ONE, 0, 0, ONE / 2), "between four");
            assertArrayEquals(new double[]{10, 10, 10, 10},
                    warped(type, square, 3, 2, 0, 1, -9 * ONE, -9 * ONE, ONE, 0, 0, ONE), "far beyond the edge");
            assertArrayEquals(new double[]{250, 250, 250, 250},
                    warped(type, square, 3, 2, 0, 1, 1L << 40, 1L << 40, ONE, 0, 0, ONE), "beyond the other");
            assertArrayEquals(new double[]{-5, 5, 25, 115},
                    warped(type, square, 3, 2, 20, 0.5, 0, 0, 2 * ONE, 0, 0, 2 * ONE), "normalised");
        }
    }

    /** A row longer than what is worked on at once, three channels, more pictures than threads. */
    @Test
    void anyNumberOfThreadsMakesTheSameBits() {
        final int n = 5;
        final int side = 71;
        final int size = 131;
        byte[] pixels = new byte[side * side];
        for (int i = 0; i < pixels.length; i++)
            pixels[i] = (byte) ((i * i * 31) >> 2);
        for (int type : TYPES) {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment x = squares(arena, n, side, pixels, -ONE / 3, 5 * ONE, ONE / 2, ONE / 9, -ONE / 9,
                        ONE / 2);
                MemorySegment mean = Numbers.buffer(arena, Kernels.F32, 120, 110, 100);
                MemorySegment scale = Numbers.buffer(arena, Kernels.F32, 0.01, 0.02, 0.03);
                int values = n * size * size * 3;
                double[] first = {};
                for (int threads : new int[]{1, 2, 3}) {
                    OneDnn.ompSetNumThreads(threads);
                    MemorySegment y = empty(arena, type, values);
                    PictureKernels.warpAffine(x, side, type, y, mean, scale, n, size, 3);
                    double[] got = read(type, y, values);
                    if (threads == 1) first = got;
                    assertArrayEquals(first, got);
                }
                // The squares are alike, so the pictures are; a place in the middle is no edge.
                assertEquals(first[1000], first[1000 + 4 * size * size * 3]);
                assertTrue(java.util.Arrays.stream(first).distinct().count() > 200);
            }
        }
        OneDnn.ompSetNumThreads(Runtime.getRuntime().availableProcessors());
    }

    @Test
    void whatMakesNoSenseIsRefused() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = arena.allocate(4096, 64);
            for (long side : new long[]{0, -1, 40_000})
                assertThrows(NativeException.class,
                        () -> PictureKernels.warpAffine(x, side, Kernels.F32, x, x, x, 1, 2, 1));
            assertThrows(NativeException.class, () -> PictureKernels.warpAffine(x, 3, 7, x, x, x, 1, 2, 1));
            assertThrows(NativeException.class, () -> PictureKernels.warpAffine(x, 3, Kernels.F32, x, x, x, 1, 0, 1));
            assertThrows(NativeException.class,
                    () -> PictureKernels.warpAffine(x.asSlice(8), 3, Kernels.F32, x, x, x, 1, 2, 1));
        }
    }
}
