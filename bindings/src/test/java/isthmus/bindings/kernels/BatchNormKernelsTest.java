package isthmus.bindings.kernels;

import static isthmus.bindings.kernels.Numbers.TYPES;
import static isthmus.bindings.kernels.Numbers.buffer;
import static isthmus.bindings.kernels.Numbers.close;
import static isthmus.bindings.kernels.Numbers.empty;
import static isthmus.bindings.kernels.Numbers.floats;
import static isthmus.bindings.kernels.Numbers.random;
import static isthmus.bindings.kernels.Numbers.read;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;

/** Batch normalisation against its definition in float64, with rows that lie apart. */
class BatchNormKernelsTest {
    private static final float EPSILON = 1e-5f;

    /** Rows x channels; the last two are shared among threads. */
    private static final int[][] SHAPES = {{1, 1}, {2, 3}, {5, 17}, {7, 65}, {33, 16}, {1031, 31}, {257, 128}};

    @Test
    void statistics() {
        for (int type : TYPES)
            for (int[] s : SHAPES)
                for (int gap : new int[]{0, 5})
                    statistics(type, s[0], s[1], s[1] + gap);
    }

    private static void statistics(int type, int rows, int c, int ld) {
        try (Arena arena = Arena.ofConfined()) {
            double[] values = read(type, random(arena, type, rows * ld, 1), rows * ld);
            for (int i = 0; i < values.length; i++)
                values[i] += 30; // a mean far from 0, where naive float32 sums lose the variance
            MemorySegment x = buffer(arena, type, values);
            values = read(type, x, rows * ld);
            MemorySegment mean = empty(arena, Kernels.F32, c);
            MemorySegment variance = empty(arena, Kernels.F32, c);
            Kernels.channelStatistics(type, x, ld, rows, c, mean, variance);
            Reference r = new Reference(values, rows, c, ld);
            close("mean", r.mean, floats(mean, c), 1e-6);
            close("variance", r.variance, floats(variance, c), 1e-6);
        }
    }

    /** Mean and variance by the definition, in two passes. */
    private static final class Reference {
        final double[] mean;
        final double[] variance;

        Reference(double[] x, int rows, int c, int ld) {
            mean = new double[c];
            variance = new double[c];
            for (int i = 0; i < rows * c; i++)
                mean[i % c] += x[i / c * ld + i % c] / rows;
            for (int i = 0; i < rows * c; i++)
                variance[i % c] += Math.pow(x[i / c * ld + i % c] - mean[i % c], 2) / rows;
        }
    }

    @Test
    void runningStatistics() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment mean = buffer(arena, Kernels.F32, 1, 2, 3);
            MemorySegment variance = buffer(arena, Kernels.F32, 4, 5, 6);
            MemorySegment runningMean = buffer(arena, Kernels.F32, 0, 0, 1);
            MemorySegment runningVariance = buffer(arena, Kernels.F32, 1, 1, 1);
            Kernels.updateStatistics(mean, variance, runningMean, runningVariance, 0.1f, 5, 3);
            close("mean", new double[]{0.1, 0.2, 1.2}, floats(runningMean, 3), 1e-6);
            close("variance", new double[]{1.4, 1.525, 1.65}, floats(runningVariance, 3), 1e-6);
        }
    }

    @Test
    void forward() {
        for (int type : TYPES)
            for (int[] s : SHAPES)
                for (int variant = 0; variant < 6; variant++)
                    for (int gap = 0; gap < 2; gap++)
                        forward(type, s[0], s[1], gap, variant % 2 == 1, variant / 2);
    }

    /** Gap 0: rows end to end. */
    private static void forward(int type, int rows, int c, int gap, boolean residual, int activation) {
        int ldx = c + 3 * gap;
        int ldy = c + gap;
        try (Arena arena = Arena.ofConfined()) {
            Case k = new Case(arena, type, rows, c, ldx, ldy);
            MemorySegment y = buffer(arena, type, new double[rows * ldy]);
            Kernels.batchNorm(type, k.x, ldx, k.mean, k.variance, k.gamma, k.beta, EPSILON,
                    residual ? k.other : MemorySegment.NULL, activation, y, ldy, rows, c);
            double[] expected = new double[rows * ldy]; // the gaps stay as they were
            for (int i = 0; i < rows * c; i++) {
                int j = i % c;
                int at = i / c * ldy + j;
                double z = k.h(i) * k.gammas[j] + k.betas[j];
                if (residual) z += k.others[at];
                expected[at] = Numbers.activate(activation, z);
            }
            close("batch_norm " + type + " " + rows + "x" + c, expected, read(type, y, rows * ldy),
                    2 * Numbers.step(type));
        }
    }

    /** Seeded inputs of one shape, in native memory and as float64. */
    private static final class Case {
        final MemorySegment x;
        final MemorySegment other;
        final MemorySegment dy;
        final MemorySegment mean;
        final MemorySegment variance;
        final MemorySegment gamma;
        final MemorySegment beta;
        final double[] xs;
        final double[] others;
        final double[] dys;
        final double[] means;
        final double[] variances;
        final double[] gammas;
        final double[] betas;
        private final int c;
        private final int ldx;

        Case(Arena arena, int type, int rows, int c, int ldx, int ldy) {
            this.c = c;
            this.ldx = ldx;
            x = random(arena, type, rows * ldx, 1);
            other = random(arena, type, rows * ldy, 2);
            dy = random(arena, type, rows * ldy, 3);
            gamma = random(arena, Kernels.F32, c, 4);
            beta = random(arena, Kernels.F32, c, 5);
            xs = read(type, x, rows * ldx);
            others = read(type, other, rows * ldy);
            dys = read(type, dy, rows * ldy);
            Reference r = new Reference(xs, rows, c, ldx);
            for (int j = 0; j < c; j++)
                r.variance[j] += 0.1; // any will do; a row alone would have 0
            mean = buffer(arena, Kernels.F32, r.mean);
            variance = buffer(arena, Kernels.F32, r.variance);
            means = floats(mean, c);
            variances = floats(variance, c);
            gammas = floats(gamma, c);
            betas = floats(beta, c);
        }

        double h(int i) { return (xs[i / c * ldx + i % c] - means[i % c]) / Math.sqrt(variances[i % c] + EPSILON); }
    }

    @Test
    void backward() {
        for (int type : TYPES)
            for (int[] s : SHAPES)
                for (int variant = 0; variant < 96; variant++)
                    backward(type, s[0], s[1], variant);
    }

    private static void backward(int type, int rows, int c, int variant) {
        boolean masked = (variant & 1) != 0; // ReLU by the sign of y, else an activation of z
        int activation = masked ? Kernels.RELU : variant / 16 % 3;
        boolean adds = variant >= 48; // to what lies in dx, in place
        boolean branch = (variant & 2) != 0;
        boolean frozen = (variant & 4) != 0;
        boolean wanted = (variant & 8) == 0;
        boolean joined = variant % 3 == 0; // rows end to end
        int ldx = joined ? c : c + 2;
        int ldy = joined ? c : c + 4;
        int lddx = joined ? c : c + 7;
        try (Arena arena = Arena.ofConfined()) {
            Case k = new Case(arena, type, rows, c, ldx, ldy);
            double[] before = Numbers.whole(adds, rows * lddx);
            MemorySegment dx = buffer(arena, type, before);
            MemorySegment dresidual = buffer(arena, type, new double[rows * ldy]);
            MemorySegment dgamma = empty(arena, Kernels.F32, c);
            MemorySegment dbeta = empty(arena, Kernels.F32, c);
            Kernels.batchNormBackward(type, k.x, ldx, masked ? k.other : MemorySegment.NULL, k.dy, ldy, k.mean,
                    k.variance, k.gamma, k.beta, EPSILON, activation, frozen ? 1 : 0,
                    wanted ? dx : MemorySegment.NULL, lddx, adds ? dx : MemorySegment.NULL, lddx, dgamma, dbeta,
                    branch ? dresidual : MemorySegment.NULL, rows, c);
            double[] edg = new double[c];
            double[] edb = new double[c];
            double[] edx = before.clone();
            double[] edr = new double[rows * ldy];
            differentiate(k, masked, activation, ldy, edr, edg, edb);
            for (int i = 0; i < rows * c; i++) {
                int j = i % c;
                double all = frozen ? 0 : (edb[j] + k.h(i) * edg[j]) / rows;
                edx[i / c * lddx + j] += k.gammas[j] / Math.sqrt(k.variances[j] + EPSILON)
                        * (edr[i / c * ldy + j] - all);
            }
            String what = "backward " + type + " " + rows + "x" + c + " " + variant;
            close(what + " dgamma", edg, floats(dgamma, c), Numbers.sums(type));
            close(what + " dbeta", edb, floats(dbeta, c), Numbers.sums(type));
            close(what + " dx", wanted ? edx : before, read(type, dx, rows * lddx), 4 * Numbers.step(type));
            close(what + " dresidual", branch ? edr : new double[rows * ldy], read(type, dresidual, rows * ldy),
                    activation == Kernels.SILU ? 2 * Numbers.step(type) : 0);
        }
    }

    /** By the definition: dz where rows are ldy apart, and its sums. */
    private static void differentiate(Case k, boolean masked, int activation, int ldy, double[] dz, double[] dgamma,
            double[] dbeta) {
        int c = dgamma.length;
        for (int i = 0; i < dz.length / ldy * c; i++) {
            int at = i / c * ldy + i % c;
            double z = masked ? k.others[at] : k.h(i) * k.gammas[i % c] + k.betas[i % c];
            dz[at] = k.dys[at] * Numbers.slope(activation, z);
            dbeta[i % c] += dz[at];
            dgamma[i % c] += dz[at] * k.h(i);
        }
    }

    @Test
    void sameThreadsSameBits() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = random(arena, Kernels.F32, 1031 * 31, 1);
            MemorySegment[] out = new MemorySegment[20];
            for (int i = 0; i < out.length; i++) {
                out[i] = empty(arena, Kernels.F32, 62);
                Kernels.channelStatistics(Kernels.F32, x, 31, 1031, 31, out[i], out[i].asSlice(124));
                assertEquals(-1, out[0].mismatch(out[i]));
            }
        }
    }
}
