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

/** Group normalisation against its definition in float64, with rows that lie apart. */
class GroupNormKernelsTest {
    private static final float EPSILON = 1e-5f;

    /** Samples, rows a sample, channels, groups; the last three are cut into several chunks. */
    private static final int[][] SHAPES = {{1, 1, 2, 1}, {2, 3, 6, 3}, {3, 7, 17, 1}, {2, 5, 17, 17}, {5, 33, 64, 8},
            {1, 1031, 64, 8}, {2, 4099, 9, 3}, {1, 130, 520, 4}};

    /** Seeded inputs of one shape, in native memory and as float64, and what the definition makes of them. */
    private static final class Case {
        final int type;
        final int rows;
        final int c;
        final int groups;
        final int ldx;
        final int ldy;
        final int total;
        final MemorySegment x;
        final MemorySegment other;
        final MemorySegment dy;
        final MemorySegment gamma;
        final MemorySegment beta;
        final double[] xs;
        final double[] others;
        final double[] dys;
        final double[] gammas;
        final double[] betas;
        final double[] mean;
        final double[] variance;

        Case(Arena arena, int type, int[] shape) {
            this.type = type;
            rows = shape[1];
            c = shape[2];
            groups = shape[3];
            boolean joined = c % 2 == 0; // rows end to end
            ldx = joined ? c : c + 3;
            ldy = joined ? c : c + 1;
            total = shape[0] * rows;
            double[] far = read(type, random(arena, type, total * ldx, 1), total * ldx);
            for (int i = 0; i < far.length; i++)
                far[i] += 3; // a mean away from 0
            x = buffer(arena, type, far);
            other = random(arena, type, total * ldy, 2);
            dy = random(arena, type, total * ldy, 3);
            gamma = random(arena, Kernels.F32, c, 4);
            beta = random(arena, Kernels.F32, c, 5);
            xs = read(type, x, total * ldx);
            others = read(type, other, total * ldy);
            dys = read(type, dy, total * ldy);
            gammas = floats(gamma, c);
            betas = floats(beta, c);
            mean = new double[shape[0] * groups];
            variance = new double[shape[0] * groups];
            for (int i = 0; i < total * c; i++)
                mean[group(i)] += xs[atX(i)] / count();
            for (int i = 0; i < total * c; i++)
                variance[group(i)] += Math.pow(xs[atX(i)] - mean[group(i)], 2) / count();
        }

        int count() { return rows * c / groups; }

        int group(int i) { return i / c / rows * groups + i % c / (c / groups); }

        int atX(int i) { return i / c * ldx + i % c; }

        int atY(int i) { return i / c * ldy + i % c; }

        double inverse(int i) { return 1 / Math.sqrt(variance[group(i)] + EPSILON); }

        double h(int i) { return (xs[atX(i)] - mean[group(i)]) * inverse(i); }

        MemorySegment forward(Arena arena, MemorySegment mean, MemorySegment variance, boolean residual,
                int activation) {
            MemorySegment y = buffer(arena, type, new double[total * ldy]);
            Kernels.groupNorm(type, x, ldx, gamma, beta, EPSILON, residual ? other : MemorySegment.NULL, activation,
                    y, ldy, mean, variance, total / rows, rows, c, groups);
            return y;
        }

        @Override
        public String toString() { return "type " + type + ", " + total + "x" + c + " in " + groups; }
    }

    @Test
    void forward() {
        for (int type : TYPES)
            for (int[] s : SHAPES)
                for (int variant = 0; variant < 6; variant++)
                    forward(type, s, variant % 2 == 1, variant / 2);
    }

    private static void forward(int type, int[] shape, boolean residual, int activation) {
        try (Arena arena = Arena.ofConfined()) {
            Case k = new Case(arena, type, shape);
            MemorySegment mean = empty(arena, Kernels.F32, k.mean.length);
            MemorySegment variance = empty(arena, Kernels.F32, k.mean.length);
            MemorySegment y = k.forward(arena, mean, variance, residual, activation);
            double[] expected = new double[k.total * k.ldy]; // the gaps stay as they were
            for (int i = 0; i < k.total * k.c; i++) {
                double z = k.h(i) * k.gammas[i % k.c] + k.betas[i % k.c];
                if (residual) z += k.others[k.atY(i)];
                expected[k.atY(i)] = Numbers.activate(activation, z);
            }
            close("mean, " + k, k.mean, floats(mean, k.mean.length), 1e-6);
            close("variance, " + k, k.variance, floats(variance, k.mean.length), 1e-6);
            close("y, " + k, expected, read(type, y, expected.length), 4 * Numbers.step(type));
            MemorySegment again = buffer(arena, type, new double[k.total * k.ldy]);
            Kernels.groupNormAgain(type, k.x, k.ldx, mean, variance, k.gamma, k.beta, EPSILON,
                    residual ? k.other : MemorySegment.NULL, activation, again, k.ldy, k.total / k.rows, k.rows, k.c,
                    k.groups);
            assertEquals(-1, y.mismatch(again), () -> "from the statistics, " + k);
        }
    }

    @Test
    void backward() {
        for (int type : TYPES)
            for (int[] s : SHAPES)
                for (int variant = 0; variant < 32; variant++)
                    backward(type, s, variant / 4 % 4, (variant & 1) != 0, (variant & 2) == 0, variant >= 16);
    }

    /** Slope 0 to 2: of an activation of z; 3: of ReLU by the sign of y. Adds: to what lies in dx, in place. */
    private static void backward(int type, int[] shape, int slope, boolean branch, boolean wanted, boolean adds) {
        boolean masked = slope == 3;
        int activation = masked ? Kernels.RELU : slope;
        try (Arena arena = Arena.ofConfined()) {
            Case k = new Case(arena, type, shape);
            int lddx = k.ldx + 3;
            double[] before = Numbers.whole(adds, k.total * lddx);
            MemorySegment dx = buffer(arena, type, before);
            MemorySegment dresidual = buffer(arena, type, new double[k.total * k.ldy]);
            MemorySegment dgamma = empty(arena, Kernels.F32, k.c);
            MemorySegment dbeta = empty(arena, Kernels.F32, k.c);
            Kernels.groupNormBackward(type, k.x, k.ldx, masked ? k.other : MemorySegment.NULL, k.dy, k.ldy,
                    buffer(arena, Kernels.F32, k.mean), buffer(arena, Kernels.F32, k.variance), k.gamma, k.beta,
                    EPSILON, activation, wanted ? dx : MemorySegment.NULL, lddx, adds ? dx : MemorySegment.NULL, lddx,
                    dgamma, dbeta,
                    branch ? dresidual : MemorySegment.NULL, shape[0], k.rows, k.c, k.groups);
            double[] edgamma = new double[k.c];
            double[] edbeta = new double[k.c];
            double[] edx = new double[k.total * k.ldx];
            double[] dz = new double[k.total * k.ldy];
            differentiate(k, masked, activation, dz, edx, edgamma, edbeta);
            close("dgamma, " + k, edgamma, floats(dgamma, k.c), 2 * Numbers.sums(type));
            close("dbeta, " + k, edbeta, floats(dbeta, k.c), Numbers.sums(type));
            double[] after = before.clone();
            for (int i = 0; wanted && i < k.total * k.c; i++)
                after[i / k.c * lddx + i % k.c] += edx[k.atX(i)];
            close("dx, " + k, after, read(type, dx, after.length),
                    8 * Numbers.step(type));
            close("dresidual, " + k, branch ? dz : new double[dz.length], read(type, dresidual, dz.length),
                    activation == Kernels.SILU ? 2 * Numbers.step(type) : 0);
        }
    }

    private static void differentiate(Case k, boolean masked, int activation, double[] dz, double[] dx,
            double[] dgamma, double[] dbeta) {
        double[] first = new double[k.mean.length];
        double[] second = new double[k.mean.length];
        for (int i = 0; i < k.total * k.c; i++) {
            int j = i % k.c;
            double z = masked ? k.others[k.atY(i)] : k.h(i) * k.gammas[j] + k.betas[j];
            double d = k.dys[k.atY(i)] * Numbers.slope(activation, z);
            dz[k.atY(i)] = d;
            dbeta[j] += d;
            dgamma[j] += d * k.h(i);
            first[k.group(i)] += k.gammas[j] * d / k.count();
            second[k.group(i)] += k.gammas[j] * d * k.h(i) / k.count();
        }
        for (int i = 0; i < k.total * k.c; i++)
            dx[k.atX(i)] = k.inverse(i)
                    * (k.gammas[i % k.c] * dz[k.atY(i)] - first[k.group(i)] - k.h(i) * second[k.group(i)]);
    }

    @Test
    void anyNumberOfThreadsGivesTheSameBits() {
        try (Arena arena = Arena.ofConfined()) {
            Case k = new Case(arena, Kernels.F32, new int[]{2, 4099, 9, 3});
            MemorySegment first = null;
            for (int threads : new int[]{1, 2, 3, 1}) {
                OneDnn.ompSetNumThreads(threads);
                MemorySegment statistics = empty(arena, Kernels.F32, 12);
                MemorySegment y = k.forward(arena, statistics, statistics.asSlice(24), true, Kernels.RELU);
                MemorySegment d = empty(arena, Kernels.F32, 18 + k.total * k.ldx);
                Kernels.groupNormBackward(k.type, k.x, k.ldx, y, k.dy, k.ldy, statistics, statistics.asSlice(24),
                        k.gamma, k.beta, EPSILON, 1, d.asSlice(72), k.ldx, MemorySegment.NULL, k.ldx, d, d.asSlice(36),
                        MemorySegment.NULL, 2, k.rows,
                        k.c,
                        k.groups);
                MemorySegment all = arena.allocate(y.byteSize() + d.byteSize());
                all.copyFrom(y);
                all.asSlice(y.byteSize()).copyFrom(d);
                if (first == null) first = all;
                assertEquals(-1, first.mismatch(all), threads + " threads");
            }
        } finally {
            OneDnn.ompSetNumThreads(Runtime.getRuntime().availableProcessors());
        }
    }

    @Test
    void refusesGroupsThatDoNotDivideTheChannels() {
        MemorySegment none = MemorySegment.NULL;
        var e = assertThrows(NativeException.class, () -> Kernels.groupNorm(Kernels.F32, none, 6, none, none, EPSILON,
                none, 0, none, 6, none, none, 1, 1, 6, 4));
        assertTrue(e.getMessage().contains("6 channels do not make 4 groups"), e.getMessage());
    }
}
