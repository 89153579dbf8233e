package isthmus.bindings.kernels;

import static isthmus.bindings.kernels.Numbers.SIZES;
import static isthmus.bindings.kernels.Numbers.close;
import static isthmus.bindings.kernels.Numbers.floats;
import static isthmus.bindings.kernels.Numbers.random;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.bindings.NativeException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;

/** Optimizers against torch.optim's formulas in float64. */
class OptimKernelsTest {
    private static final int F32 = Kernels.F32;

    @Test
    void sgd() {
        for (int n : SIZES)
            for (boolean nesterov : new boolean[]{false, true})
                for (double momentum : new double[]{0, 0.9})
                    sgd(n, momentum, nesterov ? 0 : 0.1, nesterov);
    }

    private static void sgd(int n, double momentum, double dampening, boolean nesterov) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment p = random(arena, F32, n, 1);
            MemorySegment m = random(arena, F32, n, 9); // rubbish: the first step must not read it
            MemorySegment options = arena.allocate(KernelStructs.SGD_BYTES, 8);
            double[] ep = floats(p, n);
            double[] em = new double[n];
            for (int step = 1; step <= 3; step++) {
                MemorySegment g = random(arena, F32, n, 10 + step);
                double[] eg = floats(g, n);
                for (int i = 0; i < n; i++) {
                    double d = 0.5 * eg[i] + 0.01 * ep[i];
                    em[i] = step == 1 ? d : momentum * em[i] + (1 - dampening) * d;
                    ep[i] -= 0.1 * (momentum == 0 ? d : nesterov ? d + momentum * em[i] : em[i]);
                }
                KernelStructs.putSgd(options, 0.1, momentum, dampening, 0.01, 0.5, step, nesterov);
                Kernels.sgd(options, p, g, momentum == 0 ? MemorySegment.NULL : m, n);
            }
            close("sgd " + n + " " + momentum + " " + nesterov, ep, floats(p, n), 1e-6);
        }
    }

    @Test
    void adam() {
        for (int n : SIZES)
            for (boolean decoupled : new boolean[]{false, true})
                for (boolean amsgrad : new boolean[]{false, true})
                    adam(n, decoupled, amsgrad);
    }

    private static void adam(int n, boolean decoupled, boolean amsgrad) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment p = random(arena, F32, n, 1);
            MemorySegment[] state = {arena.allocate(4L * n, 64), arena.allocate(4L * n, 64),
                    amsgrad ? arena.allocate(4L * n, 64) : MemorySegment.NULL};
            MemorySegment options = arena.allocate(KernelStructs.ADAM_BYTES, 8);
            double[] ep = floats(p, n);
            double[] em = new double[n];
            double[] ev = new double[n];
            double[] top = new double[n];
            for (int step = 1; step <= 4; step++) {
                MemorySegment g = random(arena, F32, n, 10 + step);
                double[] eg = floats(g, n);
                for (int i = 0; i < n; i++) {
                    double d = 0.25 * eg[i] / step;
                    if (decoupled) ep[i] *= 1 - 0.01 * 0.1;
                    else
                        d += 0.1 * ep[i];
                    em[i] = 0.9 * em[i] + 0.1 * d;
                    ev[i] = 0.99 * ev[i] + 0.01 * d * d;
                    top[i] = Math.max(top[i], ev[i]);
                    double second = (amsgrad ? top[i] : ev[i]) / (1 - Math.pow(0.99, step));
                    ep[i] -= 0.01 / (1 - Math.pow(0.9, step)) * em[i] / (Math.sqrt(second) + 1e-8);
                }
                KernelStructs.putAdam(options, 0.01, 0.9, 0.99, 1e-8, 0.1, 0.25 / step, step, decoupled);
                Kernels.adam(options, p, g, state[0], state[1], state[2], n);
            }
            close("adam " + n + " " + decoupled + " " + amsgrad, ep, floats(p, n), 2e-6);
        }
    }

    @Test
    void refusesStepZero() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = arena.allocate(64, 64);
            KernelStructs.putSgd(x, 1, 0, 0, 0, 1, 0, false);
            var e = assertThrows(NativeException.class, () -> Kernels.sgd(x, x, x, MemorySegment.NULL, 0));
            assertEquals("ist_sgd_" + Kernels.isa() + ": steps count from 1, not 0", e.words());
        }
    }

    @Test
    void normsAndCounts() {
        for (int n : SIZES) {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment x = random(arena, F32, n, 3);
                MemorySegment out = arena.allocate(16, 8);
                double sum = 0;
                for (double v : floats(x, n))
                    sum += v * v;
                Kernels.sumOfSquares(x, n, out);
                assertEquals(sum, out.get(ValueLayout.JAVA_DOUBLE, 0), 1e-12 * sum);
                double norm = Math.sqrt(sum);
                Kernels.clipFactor(out, norm / 2, out.asSlice(8));
                assertEquals(norm / 2 / (norm + 1e-6), out.get(ValueLayout.JAVA_DOUBLE, 8), 1e-9);
                Kernels.clipFactor(out, norm * 2, out.asSlice(8));
                assertEquals(1, out.get(ValueLayout.JAVA_DOUBLE, 8));
                Kernels.countNonfinite(x, n, out);
                assertEquals(0, out.get(ValueLayout.JAVA_LONG, 0));
                x.setAtIndex(ValueLayout.JAVA_FLOAT, n - 1, Float.NEGATIVE_INFINITY);
                x.setAtIndex(ValueLayout.JAVA_FLOAT, n / 2, Float.NaN);
                Kernels.countNonfinite(x, n, out);
                assertEquals(n / 2 == n - 1 ? 1 : 2, out.get(ValueLayout.JAVA_LONG, 0));
            }
        }
    }

    @Test
    void gradientNormCountsInTheSamePass() {
        for (int n : SIZES) {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment x = random(arena, F32, n, 3);
                MemorySegment sum = arena.allocate(16, 8);
                MemorySegment count = sum.asSlice(8);
                double expected = 0;
                for (double v : floats(x, n))
                    expected += v * v;
                UpdateKernels.gradientNorm(x, n, sum, count);
                assertEquals(expected, sum.get(ValueLayout.JAVA_DOUBLE, 0), 1e-12 * expected);
                assertEquals(0, count.get(ValueLayout.JAVA_LONG, 0));
                x.setAtIndex(ValueLayout.JAVA_FLOAT, n - 1, Float.MAX_VALUE);
                UpdateKernels.gradientNorm(x, n, sum, count);
                assertEquals(0, count.get(ValueLayout.JAVA_LONG, 0), "the largest number is one");
                assertTrue(Double.isFinite(sum.get(ValueLayout.JAVA_DOUBLE, 0)), "its square fits a float64");
                x.setAtIndex(ValueLayout.JAVA_FLOAT, n - 1, Float.NEGATIVE_INFINITY);
                x.setAtIndex(ValueLayout.JAVA_FLOAT, n / 2, Float.NaN);
                UpdateKernels.gradientNorm(x, n, sum, count);
                assertEquals(n / 2 == n - 1 ? 1 : 2, count.get(ValueLayout.JAVA_LONG, 0));
                assertFalse(Double.isFinite(sum.get(ValueLayout.JAVA_DOUBLE, 0)));
            }
        }
    }

    @Test
    void averageMovesTowards() {
        for (int n : SIZES) {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment y = random(arena, F32, n, 3);
                MemorySegment x = random(arena, F32, n, 4);
                double[] expected = floats(y, n);
                double[] target = floats(x, n);
                for (int i = 0; i < n; i++)
                    expected[i] += 0.125 * (target[i] - expected[i]);
                UpdateKernels.average(y, x, 0.125f, n);
                close("average " + n, expected, floats(y, n), 1e-6);
                UpdateKernels.average(y, x, 1, n);
                close("average with share 1", target, floats(y, n), 1e-6);
            }
        }
    }
}
