package isthmus.bindings.kernels;

import static isthmus.bindings.kernels.Numbers.SIZES;
import static isthmus.bindings.kernels.Numbers.TYPES;
import static isthmus.bindings.kernels.Numbers.close;
import static isthmus.bindings.kernels.Numbers.empty;
import static isthmus.bindings.kernels.Numbers.floats;
import static isthmus.bindings.kernels.Numbers.random;
import static isthmus.bindings.kernels.Numbers.read;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Arithmetic on weight buffers, bit for bit; and element types against Java's own or the definition. */
class WeightKernelsTest {
    private static final int F32 = Kernels.F32;

    @Test
    void foldsInFloat64() {
        double[] weights = {0.3, 0.45, 0.25};
        for (int n : SIZES) {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment base = random(arena, F32, n, 1);
                double[] sum = floats(base, n);
                MemorySegment pointers = arena.allocate(24, 8);
                for (int j = 0; j < 3; j++) {
                    MemorySegment u = random(arena, F32, n, 2 + j);
                    pointers.setAtIndex(ValueLayout.ADDRESS, j, u);
                    double[] v = floats(u, n);
                    for (int i = 0; i < n; i++)
                        sum[i] += weights[j] * v[i];
                }
                for (int i = 0; i < n; i++)
                    sum[i] = (float) sum[i];
                Kernels.fold(base, pointers, arena.allocateFrom(ValueLayout.JAVA_DOUBLE, weights), 3, base, n);
                // A fused multiply-add may move a float64 sum that lies on the border of two float32 numbers.
                close("fold " + n, sum, floats(base, n), 1.2e-7);
            }
        }
    }

    @Test
    void linear() {
        for (int n : SIZES) {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment a = random(arena, F32, n, 1);
                MemorySegment b = random(arena, F32, n, 2);
                MemorySegment y = empty(arena, F32, n);
                Kernels.difference(a, b, y, n);
                for (int i = 0; i < n; i++)
                    assertEquals(at(a, i) - at(b, i), at(y, i));
                Kernels.scale(Kernels.F32, a, 0.5f, y, n);
                for (int i = 0; i < n; i++)
                    assertEquals(at(a, i) * 0.5f, at(y, i));
                Kernels.axpy(2, b, y, n);
                for (int i = 0; i < n; i++)
                    assertEquals(at(a, i) * 0.5f + 2 * at(b, i), at(y, i));
                Kernels.copy(a, y, 4L * n);
                assertEquals(-1, a.mismatch(y));
                Kernels.proximal(y, a, b, 0.25f, n);
                for (int i = 0; i < n; i++)
                    assertEquals(at(a, i) + 0.25 * (at(a, i) - at(b, i)), at(y, i), 1e-6);
            }
        }
    }

    private static float at(MemorySegment x, int i) { return x.getAtIndex(ValueLayout.JAVA_FLOAT, i); }

    @Test
    void converts() {
        var random = new Random(5);
        int n = 100_003;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = arena.allocate(4L * n, 64);
            for (int i = 0; i < n; i++)
                x.setAtIndex(ValueLayout.JAVA_INT, i, random.nextInt()); // any float32 at all
            double[] edges = {0, -0.0, 1, 65504, 65519.996, 65520, 65536, 5.9604645e-8, 2.9802322e-8, 2.9802326e-8,
                    6.1e-5,
                    6.103515625e-5, 1e-30, Float.MAX_VALUE, Double.POSITIVE_INFINITY, Double.NaN};
            for (int i = 0; i < edges.length; i++)
                x.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) edges[i]);
            for (int i = 16; i < n / 2; i++)
                x.setAtIndex(ValueLayout.JAVA_FLOAT, i,
                        (float) Math.scalb(random.nextGaussian(), random.nextInt(40) - 25));
            MemorySegment half = arena.allocate(2L * n, 64);
            MemorySegment back = arena.allocate(4L * n, 64);
            Kernels.convert(F32, x, Kernels.BF16, half, n);
            Kernels.convert(Kernels.BF16, half, F32, back, n);
            for (int i = 0; i < n; i++) {
                same(Float.intBitsToFloat(Numbers.bf16(at(x, i)) << 16), at(back, i));
            }
            Kernels.convert(F32, x, Kernels.F16, half, n);
            Kernels.convert(Kernels.F16, half, F32, back, n);
            for (int i = 0; i < n; i++) {
                same(Float.float16ToFloat(Float.floatToFloat16(at(x, i))), at(back, i));
            }
        }
    }

    private static void same(float expected, float actual) {
        if (Float.isNaN(expected)) assertTrue(Float.isNaN(actual));
        else
            assertEquals(Float.floatToRawIntBits(expected), Float.floatToRawIntBits(actual), expected + " " + actual);
    }

    @Test
    void everyHalf() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = arena.allocate(2L * 65536, 64);
            MemorySegment y = arena.allocate(4L * 65536, 64);
            for (int i = 0; i < 65536; i++)
                x.setAtIndex(ValueLayout.JAVA_SHORT, i, (short) i);
            Kernels.convert(Kernels.F16, x, F32, y, 65536);
            for (int i = 0; i < 65536; i++)
                same(Float.float16ToFloat((short) i), at(y, i));
        }
    }

    @Test
    void fills() {
        try (Arena arena = Arena.ofConfined()) {
            for (int type : TYPES) {
                MemorySegment y = random(arena, type, 66, 1);
                Kernels.fill(type, y, 1.5f, 65);
                double[] actual = read(type, y, 66);
                for (int i = 0; i < 65; i++)
                    assertEquals(1.5, actual[i]);
                assertEquals(read(type, random(arena, type, 66, 1), 66)[65], actual[65]);
            }
        }
    }
}
