package isthmus.op;

import isthmus.tensor.Shape;
import java.util.Arrays;
import java.util.List;

/**
 * Batch normalisation and activation before squeeze-and-excitation (Hu et al. 2017), where the activated value
 * {@code A = activation((x - mean) / sqrt(variance + eps) gamma + beta)} is read twice: its means over space, and its product
 * with a factor s a sample and channel. A is large and x is there, so A is made again from x wherever it is read. The compiler
 * makes these ops after differentiation.
 */
public final class GatedNorm {
    private GatedNorm() {}

    private static Spec factors(Spec x) {
        int[] dims = x.shape().dims();
        Arrays.fill(dims, 2, dims.length, 1);
        return x.with(Shape.of(dims));
    }

    /** How A comes out of x, and what reaches x from it. */
    private record Maker(Reference r, int statistics, float epsilon, Activation activation) {
        int spatial() { return (int) r.inShape(0).elementsFrom(2); }

        int channel(int i) { return i / spatial() % r.inShape(0).dim(1); }

        double h(int i) {
            int c = channel(i);
            return (r.in(0)[i] - r.in(statistics)[c]) / Math.sqrt(r.in(statistics + 1)[c] + epsilon);
        }

        double z(int i) { return h(i) * r.in(statistics + 2)[channel(i)] + r.in(statistics + 3)[channel(i)]; }

        double a(int i) { return activation.of(z(i)); }
    }

    /** {@code p = mean over space of A}, from x, mean, variance, gamma, beta. */
    public record Means(float epsilon, Activation activation) implements Op {
        @Override
        public String name() { return "norm_means"; }

        @Override
        public List<Spec> infer(List<Spec> in) { return List.of(factors(in.getFirst())); }

        @Override
        public long flops(List<Spec> in, List<Spec> out) { return in.getFirst().shape().elements() * 4; }

        @Override
        public void reference(Reference r) {
            Maker m = new Maker(r, 1, epsilon, activation);
            double[] sum = new double[r.out(0).length];
            for (int i = 0; i < r.in(0).length; i++)
                sum[i / m.spatial()] += m.a(i);
            for (int i = 0; i < sum.length; i++)
                r.out(0)[i] = (float) (sum[i] / m.spatial());
        }
    }

    /** {@code y = A s}, from x, mean, variance, gamma, beta, s. */
    public record Scaled(float epsilon, Activation activation) implements Op {
        @Override
        public String name() { return "norm_scaled"; }

        @Override
        public List<Spec> infer(List<Spec> in) {
            ShapeException.same(name(), in.getLast().shape(), factors(in.getFirst()).shape());
            return List.of(in.getFirst());
        }

        @Override
        public long flops(List<Spec> in, List<Spec> out) { return in.getFirst().shape().elements() * 4; }

        @Override
        public void reference(Reference r) {
            Maker m = new Maker(r, 1, epsilon, activation);
            for (int i = 0; i < r.out(0).length; i++)
                r.out(0)[i] = (float) (m.a(i) * r.in(5)[i / m.spatial()]);
        }
    }

    /** {@code ds = sum over space of dy A}, from x, dy, mean, variance, gamma, beta. */
    public record Factors(float epsilon, Activation activation) implements Op {
        @Override
        public String name() { return "norm_factors"; }

        @Override
        public List<Spec> infer(List<Spec> in) {
            ShapeException.same(name(), in.get(0).shape(), in.get(1).shape());
            return List.of(factors(in.getFirst()));
        }

        @Override
        public long flops(List<Spec> in, List<Spec> out) { return in.getFirst().shape().elements() * 5; }

        @Override
        public void reference(Reference r) {
            Maker m = new Maker(r, 2, epsilon, activation);
            double[] sum = new double[r.out(0).length];
            for (int i = 0; i < r.in(0).length; i++)
                sum[i / m.spatial()] += r.in(1)[i] * m.a(i);
            for (int i = 0; i < sum.length; i++)
                r.out(0)[i] = (float) sum[i];
        }
    }

    /**
     * From x, dy, mean, variance, gamma, beta, s, dp: dx, dgamma, dbeta as {@link Normalize.BackwardPass} has them, where
     * {@code dy s + dp / positions} reaches A.
     */
    public record BackwardPass(float epsilon, Activation activation) implements Op {
        @Override
        public String name() { return "norm_scaled_backward"; }

        @Override
        public List<Spec> infer(List<Spec> in) {
            for (int i = 6; i < 8; i++)
                ShapeException.same(name(), in.get(i).shape(), factors(in.getFirst()).shape());
            Spec c = new Spec(in.get(4).shape(), Kind.FLOAT);
            return List.of(in.get(0), c, c);
        }

        @Override
        public long flops(List<Spec> in, List<Spec> out) {
            return in.getFirst().shape().elements() * (13 + activation.flops());
        }

        @Override
        public int readings(int i) { return i < 2 ? 2 : 1; }

        @Override
        public void reference(Reference r) {
            Maker m = new Maker(r, 2, epsilon, activation);
            int count = r.in(0).length / r.inShape(0).dim(1);
            for (int i = 0; i < r.in(0).length; i++) {
                r.out(2)[m.channel(i)] += (float) dz(m, i);
                r.out(1)[m.channel(i)] += (float) (dz(m, i) * m.h(i));
            }
            for (int i = 0; i < r.in(0).length; i++) {
                int c = m.channel(i);
                double all = (r.out(2)[c] + m.h(i) * r.out(1)[c]) / count;
                r.out(0)[i] = (float) (r.in(4)[c] / Math.sqrt(r.in(3)[c] + epsilon) * (dz(m, i) - all));
            }
        }

        private double dz(Maker m, int i) {
            int at = i / m.spatial();
            Reference r = m.r;
            return (r.in(1)[i] * r.in(6)[at] + r.in(7)[at] / m.spatial()) * activation.slope(m.z(i));
        }
    }
}
