package isthmus.bindings.kernels;

import static isthmus.bindings.kernels.Numbers.SIZES;
import static isthmus.bindings.kernels.Numbers.TYPES;
import static isthmus.bindings.kernels.Numbers.close;
import static isthmus.bindings.kernels.Numbers.empty;
import static isthmus.bindings.kernels.Numbers.random;
import static isthmus.bindings.kernels.Numbers.read;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.function.DoubleBinaryOperator;
import org.junit.jupiter.api.Test;

/** Element-wise kernels, in place and not. */
class ElementKernelsTest {
    private interface Binary {
        void run(int type, MemorySegment a, MemorySegment b, MemorySegment y, long n);
    }

    @Test
    void relu() { check("relu", (t, a, b, y, n) -> Kernels.relu(t, a, y, n), (a, b) -> Math.max(a, 0)); }

    @Test
    void reluBackward() { check("relu_backward", Kernels::reluBackward, (y, dy) -> y > 0 ? dy : 0); }

    @Test
    void add() { check("add", Kernels::add, Double::sum); }

    @Test
    void addRelu() { check("add_relu", Kernels::addRelu, (a, b) -> Math.max(a + b, 0)); }

    private static void check(String what, Binary kernel, DoubleBinaryOperator formula) {
        for (int type : TYPES) {
            for (int n : SIZES) {
                try (Arena arena = Arena.ofConfined()) {
                    MemorySegment a = random(arena, type, n, 1);
                    MemorySegment b = random(arena, type, n, 2);
                    MemorySegment y = empty(arena, type, n);
                    double[] ea = read(type, a, n);
                    double[] eb = read(type, b, n);
                    double[] expected = new double[n];
                    for (int i = 0; i < n; i++)
                        expected[i] = formula.applyAsDouble(ea[i], eb[i]);
                    kernel.run(type, a, b, y, n);
                    close(what + " " + type + " " + n, expected, read(type, y, n), Numbers.step(type));
                    kernel.run(type, a, b, a, n);
                    assertEquals(-1, a.mismatch(y), what + " in place");
                }
            }
        }
    }

    @Test
    void dropout() {
        for (int type : TYPES) {
            for (int n : SIZES) {
                for (float p : new float[]{0, 0.1f, 0.5f, 0.9999f}) {
                    try (Arena arena = Arena.ofConfined()) {
                        MemorySegment x = random(arena, type, n, 1);
                        MemorySegment y = empty(arena, type, n);
                        MemorySegment state = arena.allocateFrom(ValueLayout.JAVA_LONG, 77, 1L << 40);
                        double[] expected = read(type, x, n);
                        for (int i = 0; i < n; i++)
                            expected[i] = uniform(77, 1L << 40, -5, i) >= p ? expected[i] / (1 - p) : 0;
                        Kernels.dropout(type, x, y, p, state, -5, n);
                        close("dropout " + p, expected, read(type, y, n), Numbers.step(type));
                    }
                }
            }
        }
    }

    @Test
    void dropoutKeepsItsShare() {
        int n = 1_000_000;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = empty(arena, Kernels.F32, n);
            Kernels.fill(Kernels.F32, x, 1, n);
            Kernels.dropout(Kernels.F32, x, x, 0.3f, arena.allocateFrom(ValueLayout.JAVA_LONG, 1, 2), 3, n);
            double kept = 0;
            for (double v : read(Kernels.F32, x, n))
                kept += v == 0 ? 0 : 1;
            assertTrue(Math.abs(kept / n - 0.7) < 0.003, kept + " of " + n); // 6 standard deviations
        }
    }

    private static float uniform(long seed, long step, int id, long index) {
        long key = mix(seed ^ mix(step * 0x9E3779B97F4A7C15L + id));
        return (mix(key + index * 0x9E3779B97F4A7C15L) >>> 40) * 0x1p-24f;
    }

    private static long mix(long z) {
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }
}
