package isthmus.bindings.kernels;

import static isthmus.bindings.kernels.Numbers.buffer;
import static isthmus.bindings.kernels.Numbers.close;
import static isthmus.bindings.kernels.Numbers.empty;
import static isthmus.bindings.kernels.Numbers.floats;
import static isthmus.bindings.kernels.Numbers.random;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.bindings.NativeException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;

/** Losses, and their gradients by finite differences of the loss in float64. */
class LossKernelsTest {
    private static final int F32 = Kernels.F32;
    private static final int[][] SHAPES = {{1, 1}, {1, 2}, {3, 5}, {17, 14}, {64, 1}, {1031, 7}};

    private interface Loss {
        double of(double[] logits);
    }

    @Test
    void crossEntropy() {
        for (int[] s : SHAPES) {
            try (Arena arena = Arena.ofConfined()) {
                int n = s[0];
                int c = s[1];
                MemorySegment labels = arena.allocate(4L * n, 64);
                int known = 0;
                for (int i = 0; i < n; i++) {
                    int label = i % 5 == 4 ? -1 : i * 7 % c;
                    known += label < 0 ? 0 : 1;
                    labels.setAtIndex(ValueLayout.JAVA_INT, i, label);
                }
                int count = known;
                Loss loss = x -> {
                    double sum = 0;
                    for (int i = 0; i < n; i++) {
                        int label = labels.getAtIndex(ValueLayout.JAVA_INT, i);
                        double all = 0;
                        for (int j = 0; j < c; j++)
                            all += Math.exp(x[i * c + j]);
                        if (label >= 0) sum += Math.log(all) - x[i * c + label];
                    }
                    return sum / count;
                };
                check("cross_entropy " + n + "x" + c, arena, n * c, loss,
                        (x, out, gradient) -> LossKernels.crossEntropy(x, labels, out, gradient, n, c));
            }
        }
    }

    @Test
    void bceWithLogits() {
        for (int[] s : SHAPES) {
            for (boolean weighted : new boolean[]{false, true}) {
                try (Arena arena = Arena.ofConfined()) {
                    int n = s[0];
                    int c = s[1];
                    double[] y = new double[n * c];
                    int known = 0;
                    for (int i = 0; i < n * c; i++) {
                        y[i] = new double[]{1, 0, -1, 0.3}[i * 5 % 4];
                        known += y[i] < 0 ? 0 : 1;
                    }
                    int count = known;
                    double[] weights = floats(random(arena, F32, c, 8), c);
                    for (int j = 0; j < c; j++)
                        weights[j] = weighted ? (float) Math.exp(weights[j]) : 1;
                    Loss loss = x -> {
                        double sum = 0;
                        for (int i = 0; i < n * c; i++)
                            if (y[i] >= 0)
                                sum += weights[i % c] * (float) y[i] * Math.log1p(Math.exp(-x[i]))
                                        + (1 - (float) y[i]) * Math.log1p(Math.exp(x[i]));
                        return sum / count;
                    };
                    MemorySegment labels = buffer(arena, F32, y);
                    MemorySegment w = weighted ? buffer(arena, F32, weights) : MemorySegment.NULL;
                    check("bce " + n + "x" + c, arena, n * c, loss,
                            (x, out, gradient) -> LossKernels.bceWithLogits(x, labels, w, out, gradient, n, c));
                }
            }
        }
    }

    private interface Kernel {
        void run(MemorySegment x, MemorySegment loss, MemorySegment gradient);
    }

    private static void check(String what, Arena arena, int size, Loss loss, Kernel kernel) {
        MemorySegment x = random(arena, F32, size, 1);
        MemorySegment out = empty(arena, F32, 1);
        MemorySegment gradient = random(arena, F32, size, 2);
        kernel.run(x, out, gradient);
        double[] at = floats(x, size);
        assertEquals(loss.of(at), floats(out, 1)[0], 1e-6 * Math.max(1, loss.of(at)), what);
        double[] actual = floats(gradient, size);
        for (int i = 0; i < size; i += Math.max(1, size / 50)) {
            double v = at[i];
            at[i] = v + 1e-4;
            double up = loss.of(at);
            at[i] = v - 1e-4;
            double down = loss.of(at);
            at[i] = v;
            assertEquals((up - down) / 2e-4, actual[i], 1e-6, what + " gradient at " + i);
        }
        kernel.run(x, out, MemorySegment.NULL);
        assertEquals(loss.of(at), floats(out, 1)[0], 1e-6 * Math.max(1, loss.of(at)), what + " without gradient");
    }

    @Test
    void noneKnown() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = buffer(arena, F32, 1, 2);
            MemorySegment out = buffer(arena, F32, 9);
            MemorySegment gradient = buffer(arena, F32, 9, 9);
            LossKernels.bceWithLogits(x, buffer(arena, F32, -1, -1), MemorySegment.NULL, out, gradient, 1, 2);
            assertEquals(0, floats(out, 1)[0]);
            close("gradient", new double[2], floats(gradient, 2), 0);
            LossKernels.crossEntropy(x, arena.allocateFrom(ValueLayout.JAVA_INT, -1), out, gradient, 1, 2);
            assertEquals(0, floats(out, 1)[0]);
            close("gradient", new double[2], floats(gradient, 2), 0);
        }
    }

    @Test
    void extremesStayFinite() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = buffer(arena, F32, 1e4, -1e4);
            MemorySegment out = empty(arena, F32, 1);
            MemorySegment gradient = empty(arena, F32, 2);
            LossKernels.bceWithLogits(x, buffer(arena, F32, 0, 1), MemorySegment.NULL, out, gradient, 1, 2);
            assertEquals(1e4, floats(out, 1)[0]);
            close("gradient", new double[]{0.5, -0.5}, floats(gradient, 2), 0);
            LossKernels.crossEntropy(x, arena.allocateFrom(ValueLayout.JAVA_INT, 1), out, gradient, 1, 2);
            assertEquals(2e4, floats(out, 1)[0]);
            close("gradient", new double[]{1, -1}, floats(gradient, 2), 0);
        }
    }

    @Test
    void refusesALabelBeyondTheClasses() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = buffer(arena, F32, 1, 2, 3, 4);
            MemorySegment labels = arena.allocateFrom(ValueLayout.JAVA_INT, 0, 2);
            var e = assertThrows(NativeException.class, () -> LossKernels.crossEntropy(x, labels, x, x, 2, 2));
            assertTrue(e.getMessage().contains("label 2 of row 1, but there are 2 classes"), e.getMessage());
        }
    }

    @Test
    void probabilities() {
        for (int[] s : SHAPES) {
            try (Arena arena = Arena.ofConfined()) {
                int size = s[0] * s[1];
                MemorySegment x = random(arena, F32, size, 1);
                MemorySegment y = empty(arena, F32, size);
                double[] at = floats(x, size);
                double[] expected = new double[size];
                for (int i = 0; i < size; i++) {
                    double sum = 0;
                    for (int j = 0; j < s[1]; j++)
                        sum += Math.exp(at[i / s[1] * s[1] + j]);
                    expected[i] = Math.exp(at[i]) / sum;
                }
                LossKernels.softmax(x, y, s[0], s[1]);
                close("softmax", expected, floats(y, size), 1e-7);
                for (int i = 0; i < size; i++)
                    expected[i] = 1 / (1 + Math.exp(-at[i]));
                ActivationKernels.sigmoid(F32, x, y, size);
                close("sigmoid", expected, floats(y, size), 3e-7);
            }
        }
    }
}
