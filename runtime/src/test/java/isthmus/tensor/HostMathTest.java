package isthmus.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Arithmetic on weight buffers against plain loops in float64. */
class HostMathTest {
    private static final int MANY = 20_011;

    private static float[] random(int n, long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        float[] v = new float[n];
        for (int i = 0; i < n; i++)
            v[i] = (float) random.nextGaussian();
        return v;
    }

    private static MemorySegment off(Arena arena, float[] values) {
        return arena.allocateFrom(ValueLayout.JAVA_FLOAT, values);
    }

    private static float[] heap(MemorySegment x) { return x.toArray(ValueLayout.JAVA_FLOAT); }

    /**
     * The sequential loop. A processor with fused multiply-add rounds once where others round twice; either is one order of
     * one kind of addition, never a mixture.
     */
    private static float[] fold(float[] base, float[][] updates, double[] weights, boolean fused) {
        float[] out = new float[base.length];
        for (int i = 0; i < base.length; i++) {
            double sum = base[i];
            for (int k = 0; k < weights.length; k++)
                sum = fused ? Math.fma(weights[k], updates[k][i], sum) : sum + weights[k] * updates[k][i];
            out[i] = (float) sum;
        }
        return out;
    }

    private static float[] fold(float[] base, float[][] updates, double[] weights) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment[] u = Arrays.stream(updates).map(v -> off(arena, v)).toArray(MemorySegment[]::new);
            MemorySegment b = off(arena, base);
            MemorySegment out = arena.allocate(b.byteSize(), 4);
            HostMath.fold(b, u, weights, out, base.length);
            float[] result = heap(out);
            HostMath.fold(b, u, weights, b, base.length);
            assertArrayEquals(result, heap(b), "in place");
            for (int k = 0; k < u.length; k++)
                assertArrayEquals(updates[k], heap(u[k]), "an update was written to");
            return result;
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 7, 63, 64, 65, 1023, 1024, 1025, 4095, 4097, MANY, 65_537})
    void foldIsTheSequentialLoop(int n) {
        for (int k : new int[]{0, 1, 2, 5}) {
            float[] base = random(n, 1);
            float[][] updates = new float[k][];
            double[] weights = new double[k];
            for (int j = 0; j < k; j++) {
                updates[j] = random(n, 2 + j);
                weights[j] = 1.0 / (j + 3);
            }
            float[] got = fold(base, updates, weights);
            if (!Arrays.equals(fold(base, updates, weights, true), got))
                assertArrayEquals(fold(base, updates, weights, false), got, n + " elements, " + k + " updates");
        }
    }

    /** Large updates that cancel leave rounding that tells every order from every other. */
    @Test
    void foldKeepsTheOrderOfTheUpdates() {
        float[] base = random(MANY, 1);
        float[] large = random(MANY, 2);
        float[] opposite = new float[MANY];
        for (int i = 0; i < MANY; i++) {
            large[i] *= 1e17f;
            opposite[i] = -large[i];
        }
        float[][] given = {large, random(MANY, 3), opposite, random(MANY, 4)};
        float[][] otherwise = {large, opposite, given[1], given[3]};
        double[] weights = {1, 1, 1, 1};
        float[] expected = fold(base, given, weights, true);
        assertArrayEquals(expected, fold(base, given, weights, false), "products by 1 are exact");
        assertFalse(Arrays.equals(expected, fold(base, otherwise, weights, true)), "the order does not show");
        assertArrayEquals(expected, fold(base, given, weights));
        assertArrayEquals(fold(base, otherwise, weights, true), fold(base, otherwise, weights));
    }

    @Test
    void foldSumsInFloat64() {
        float[][] updates = {{1e8f}, {1}, {-1e8f}};
        assertEquals(1, fold(new float[]{0}, updates, new double[]{1, 1, 1})[0]); // float32 sums would give 0
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 17, 127, 128, 129, MANY, 131_071})
    void differenceAndMeasures(int n) {
        float[] a = random(n, 1);
        float[] b = random(n, 2);
        float[] expected = new float[n];
        double squares = 0;
        for (int i = 0; i < n; i++) {
            expected[i] = a[i] - b[i];
            squares += (double) a[i] * a[i];
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = off(arena, a);
            MemorySegment y = off(arena, b);
            MemorySegment out = arena.allocate(Math.max(1, x.byteSize()), 4).asSlice(0, x.byteSize());
            HostMath.difference(x, y, out, n);
            assertArrayEquals(expected, heap(out));
            assertEquals(squares, HostMath.sumOfSquares(x, n), 1e-12 * squares);
            assertEquals(HostMath.sumOfSquares(x, n), HostMath.sumOfSquares(x, n), 0);
            assertEquals(0, HostMath.countNonFinite(x, n));
            HostMath.difference(x, y, x, n);
            assertArrayEquals(expected, heap(x), "in place of the first");
            HostMath.difference(off(arena, a), y, y, n);
            assertArrayEquals(expected, heap(y), "in place of the second");
        }
    }

    /** Wherever it stands: first, last, and at every place of a vector. */
    @Test
    void countsEveryNonFiniteElement() {
        int n = 1025;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = off(arena, random(n, 1));
            float[] odd = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY,
                    Float.intBitsToFloat(0xffc12345)};
            for (int i = 0; i < n; i++) {
                float kept = x.getAtIndex(ValueLayout.JAVA_FLOAT, i);
                x.setAtIndex(ValueLayout.JAVA_FLOAT, i, odd[i % odd.length]);
                assertEquals(1, HostMath.countNonFinite(x, n), "at " + i);
                x.setAtIndex(ValueLayout.JAVA_FLOAT, i, i % 2 == 0 ? kept : Float.MAX_VALUE);
            }
            x.setAtIndex(ValueLayout.JAVA_FLOAT, 3, Float.MIN_VALUE);
            assertEquals(0, HostMath.countNonFinite(x, n));
            for (int i = 0; i < n; i++)
                x.setAtIndex(ValueLayout.JAVA_FLOAT, i, odd[i % odd.length]);
            assertEquals(n, HostMath.countNonFinite(x, n));
            assertEquals(n - 1, HostMath.countNonFinite(x, n - 1));
        }
    }

    /** A count beyond the segment would read foreign memory. */
    @Test
    void refusesCountsBeyondTheSegment() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = off(arena, random(8, 1));
            MemorySegment shorter = x.asSlice(0, 31);
            for (long n : new long[]{9, -1, 1L << 62, Long.MAX_VALUE, Long.MIN_VALUE}) {
                refused("sumOfSquares", () -> HostMath.sumOfSquares(x, n));
                refused("countNonFinite", () -> HostMath.countNonFinite(x, n));
                refused("difference", () -> HostMath.difference(x, x, x, n));
                refused("fold", () -> HostMath.fold(x, new MemorySegment[0], new double[0], x, n));
            }
            refused("difference", () -> HostMath.difference(x, shorter, x, 8));
            refused("difference", () -> HostMath.difference(x, x, shorter, 8));
            refused("fold", () -> HostMath.fold(x, new MemorySegment[]{shorter}, new double[]{1}, x, 8));
            refused("1 updates, 2 weights",
                    () -> HostMath.fold(x, new MemorySegment[]{x}, new double[]{1, 2}, x, 8));
        }
    }

    private static void refused(String what, Runnable call) {
        String message = assertThrows(IllegalArgumentException.class, call::run).getMessage();
        assertTrue(message.contains(what), message);
    }
}
