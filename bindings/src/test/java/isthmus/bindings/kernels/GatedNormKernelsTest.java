package isthmus.bindings.kernels;

import static isthmus.bindings.kernels.Numbers.TYPES;
import static isthmus.bindings.kernels.Numbers.buffer;
import static isthmus.bindings.kernels.Numbers.close;
import static isthmus.bindings.kernels.Numbers.empty;
import static isthmus.bindings.kernels.Numbers.floats;
import static isthmus.bindings.kernels.Numbers.random;
import static isthmus.bindings.kernels.Numbers.read;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.bindings.NativeException;
import isthmus.bindings.onednn.OneDnn;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;

/** Normalisation before squeeze-and-excitation against its definition in float64. */
class GatedNormKernelsTest {
    private static final float EPSILON = 1e-5f;
    private static final MemorySegment NONE = MemorySegment.NULL;

    /**
     * Samples, rows a sample, channels: few channels, of which several rows lie side by side, with row counts that they divide
     * and that they do not; channels beyond one block of columns; the last two are shared among threads.
     */
    private static final int[][] SHAPES = {{1, 1, 1}, {2, 3, 5}, {3, 7, 17}, {2, 64, 16}, {4, 49, 65}, {1, 130, 520},
            {5, 1031, 33}, {3, 784, 96}};

    /** Seeded inputs of one shape, in native memory and as float64. */
    private static final class Case {
        final int type;
        final int n;
        final int rows;
        final int c;
        final int activation;
        final MemorySegment x;
        final MemorySegment dy;
        final MemorySegment mean;
        final MemorySegment variance;
        final MemorySegment gamma;
        final MemorySegment beta;
        final MemorySegment s;
        final MemorySegment dp;
        final double[] xs;
        final double[] dys;
        final double[] means;
        final double[] variances;
        final double[] gammas;
        final double[] betas;
        final double[] factors;
        final double[] dps;

        Case(Arena arena, int type, int[] shape, int activation) {
            this.type = type;
            this.activation = activation;
            n = shape[0];
            rows = shape[1];
            c = shape[2];
            x = random(arena, type, count(), 1);
            dy = random(arena, type, count(), 2);
            gamma = random(arena, Kernels.F32, c, 3);
            beta = random(arena, Kernels.F32, c, 4);
            s = random(arena, type, n * c, 5);
            dp = random(arena, type, n * c, 6);
            xs = read(type, x, count());
            dys = read(type, dy, count());
            double[] first = new double[c];
            double[] second = new double[c];
            for (int i = 0; i < count(); i++)
                first[i % c] += xs[i] / n / rows;
            for (int i = 0; i < count(); i++)
                second[i % c] += Math.pow(xs[i] - first[i % c], 2) / n / rows;
            for (int j = 0; j < c; j++)
                second[j] += 0.1; // any will do; a row alone would have 0
            mean = buffer(arena, Kernels.F32, first);
            variance = buffer(arena, Kernels.F32, second);
            means = floats(mean, c);
            variances = floats(variance, c);
            gammas = floats(gamma, c);
            betas = floats(beta, c);
            factors = read(type, s, n * c);
            dps = read(type, dp, n * c);
        }

        int count() { return n * rows * c; }

        /** The place of element i's sample and channel. */
        int of(int i) { return i / c / rows * c + i % c; }

        double inverse(int j) { return 1 / Math.sqrt(variances[j] + EPSILON); }

        double h(int i) { return (xs[i] - means[i % c]) * inverse(i % c); }

        double z(int i) { return h(i) * gammas[i % c] + betas[i % c]; }

        double a(int i) { return Numbers.activate(activation, z(i)); }

        double dz(int i) { return (dys[i] * factors[of(i)] + dps[of(i)] / rows) * Numbers.slope(activation, z(i)); }

        /** Tolerance of sums over all samples: each term's own error adds up. */
        double sums() {
            return 2 * Numbers.sums(type) * Math.max(1, n * rows / 1000.0);
        }

        MemorySegment means(Arena arena, MemorySegment dy) {
            MemorySegment p = empty(arena, type, n * c);
            GatedNormKernels.means(type, x, dy, mean, variance, gamma, beta, EPSILON, activation, p, n, rows, c);
            return p;
        }

        MemorySegment scaled(Arena arena) {
            MemorySegment y = empty(arena, type, count());
            GatedNormKernels.scaled(type, x, mean, variance, gamma, beta, EPSILON, activation, s, y, n, rows, c);
            return y;
        }

        /** Writes c numbers of dgamma, then c of dbeta, into {@code parameters}. */
        void backward(MemorySegment dx, MemorySegment dy, MemorySegment parameters) {
            GatedNormKernels.scaledBackward(type, x, dy, mean, variance, gamma, beta, EPSILON, activation, s, dp, dx,
                    parameters, parameters.asSlice(4L * c), n, rows, c);
        }

        @Override
        public String toString() {
            return "type " + type + ", " + n + "x" + rows + "x" + c + ", activation " + activation;
        }
    }

    /** What is checked of a case. */
    private interface Check {
        void of(Arena arena, Case k);
    }

    private static void each(Check check) {
        for (int type : TYPES)
            for (int[] shape : SHAPES)
                for (int activation = Kernels.NONE; activation <= Kernels.SILU; activation++)
                    try (Arena arena = Arena.ofConfined()) {
                        check.of(arena, new Case(arena, type, shape, activation));
                    }
    }

    @Test
    void means() {
        each((arena, k) -> {
            double[] expected = new double[k.n * k.c];
            for (int i = 0; i < k.count(); i++)
                expected[k.of(i)] += k.a(i) / k.rows;
            close("means, " + k, expected, read(k.type, k.means(arena, NONE), expected.length), Numbers.step(k.type));
        });
    }

    @Test
    void sumsOfProducts() {
        each((arena, k) -> {
            double[] expected = new double[k.n * k.c];
            for (int i = 0; i < k.count(); i++)
                expected[k.of(i)] += k.a(i) * k.dys[i];
            close("sums, " + k, expected, read(k.type, k.means(arena, k.dy), expected.length),
                    Math.max(Numbers.step(k.type), k.sums()));
        });
    }

    @Test
    void scaled() {
        each((arena, k) -> {
            double[] expected = new double[k.count()];
            for (int i = 0; i < expected.length; i++)
                expected[i] = k.a(i) * k.factors[k.of(i)];
            close("scaled, " + k, expected, read(k.type, k.scaled(arena), expected.length), 2 * Numbers.step(k.type));
        });
    }

    @Test
    void backward() {
        each((arena, k) -> {
            MemorySegment dx = empty(arena, k.type, k.count());
            MemorySegment parameters = empty(arena, Kernels.F32, 2 * k.c);
            k.backward(dx, k.dy, parameters);
            double[] expected = new double[2 * k.c];
            for (int i = 0; i < k.count(); i++) {
                expected[i % k.c] += k.dz(i) * k.h(i);
                expected[k.c + i % k.c] += k.dz(i);
            }
            close("dgamma, dbeta, " + k, expected, floats(parameters, 2 * k.c), k.sums());
            double[] edx = new double[k.count()];
            for (int i = 0; i < edx.length; i++) {
                int j = i % k.c;
                double all = (expected[k.c + j] + k.h(i) * expected[j]) / k.n / k.rows;
                edx[i] = k.gammas[j] * k.inverse(j) * (k.dz(i) - all);
            }
            close("dx, " + k, edx, read(k.type, dx, edx.length), 8 * Numbers.step(k.type));
            MemorySegment inPlace = arena.allocate(k.dy.byteSize(), 64).copyFrom(k.dy);
            k.backward(inPlace, inPlace, parameters);
            assertEquals(-1, dx.mismatch(inPlace), "dx is dy, " + k);
        });
    }

    @Test
    void anyNumberOfThreadsGivesTheSameBits() {
        try (Arena arena = Arena.ofConfined()) {
            for (int type : TYPES) {
                Case k = new Case(arena, type, new int[]{5, 1031, 33}, Kernels.SILU);
                MemorySegment first = null;
                for (int threads : new int[]{1, 2, 3, 7}) {
                    OneDnn.ompSetNumThreads(threads);
                    MemorySegment all = all(arena, k);
                    if (first == null) first = all;
                    assertEquals(-1, first.mismatch(all), threads + " threads, " + k);
                }
            }
        } finally {
            OneDnn.ompSetNumThreads(Runtime.getRuntime().availableProcessors());
        }
    }

    /** All that the kernels make of a case, end to end. */
    private static MemorySegment all(Arena arena, Case k) {
        MemorySegment dx = empty(arena, k.type, k.count());
        MemorySegment parameters = empty(arena, Kernels.F32, 2 * k.c);
        k.backward(dx, k.dy, parameters);
        MemorySegment[] parts = {k.means(arena, NONE), k.means(arena, k.dy), k.scaled(arena), dx, parameters};
        long bytes = 0;
        for (MemorySegment p : parts)
            bytes += p.byteSize();
        MemorySegment all = arena.allocate(bytes);
        long at = 0;
        for (MemorySegment p : parts) {
            all.asSlice(at).copyFrom(p);
            at += p.byteSize();
        }
        return all;
    }

    @Test
    void refusesWhatDoesNotFit() {
        var e = assertThrows(NativeException.class, () -> GatedNormKernels.means(Kernels.F32, NONE, NONE, NONE, NONE,
                NONE, NONE, EPSILON, Kernels.RELU, NONE, 2, 0, 3));
        assertTrue(e.getMessage().contains("2 samples of 0 rows of 3 channels"), e.getMessage());
        e = assertThrows(NativeException.class, () -> GatedNormKernels.scaled(Kernels.F32, NONE, NONE, NONE, NONE,
                NONE, EPSILON, 7, NONE, NONE, 2, 2, 3));
        assertTrue(e.getMessage().contains("no activation 7"), e.getMessage());
        e = assertThrows(NativeException.class, () -> GatedNormKernels.scaled(Kernels.F16, NONE, NONE, NONE, NONE,
                NONE, EPSILON, 0, NONE, NONE, 2, 2, 3));
        assertTrue(e.getMessage().contains("no element type 2"), e.getMessage());
    }
}
