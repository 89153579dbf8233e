package isthmus.op;

import java.util.ArrayList;
import java.util.List;

/**
 * An op that reads a batch-normalised and activated value which is nowhere in memory: a convolution, its weight gradient, a
 * pool. Inputs: x, mean, variance, gamma, beta, and what else the op reads. The compiler makes this op and
 * {@link Gradient} after differentiation, where the backend has kernels for them.
 */
public record Normalized(Normalize norm, Op op) implements Op {
    /** Where the op's own operands begin, but for x. */
    public static final int OPERANDS = 5;

    /** Checks that the norm is of x alone. */
    public Normalized {
        check(norm);
    }

    private static void check(Normalize norm) {
        if (norm.residual()) throw new IllegalArgumentException("a residual is not normalised on the way");
    }

    @Override
    public String name() { return "norm_" + op.name(); }

    @Override
    public List<Spec> infer(List<Spec> in) {
        norm.infer(in.subList(0, OPERANDS));
        return op.infer(operands(in));
    }

    private static List<Spec> operands(List<Spec> in) {
        List<Spec> own = new ArrayList<>(in.subList(OPERANDS, in.size()));
        own.addFirst(in.getFirst());
        return own;
    }

    @Override
    public long flops(List<Spec> in, List<Spec> out) {
        return norm.flops(in, List.of(in.getFirst())) + op.flops(operands(in), out);
    }

    @Override
    public void reference(Reference r) {
        Parts.Part a = Parts.zeros(r.inShape(0));
        norm.reference(new Parts(r, Parts.inputs(r, 0, OPERANDS), List.of(a)));
        List<Parts.Part> in = Parts.inputs(r, OPERANDS, r.inputs());
        in.addFirst(a);
        op.reference(new Parts(r, in, Parts.outputs(r, op.infer(in.stream().map(Parts.Part::spec).toList()).size())));
    }

    /**
     * The gradient of the normalised value, as {@code op} makes it, taken back through the norm as far as that goes position by
     * position. Inputs: x, mean, variance, gamma, beta, what the op reads, and if it {@code adds}, what is added, and if that
     * {@code owes}, what it owes. With dz, h, M as for {@link Normalize.BackwardPass} and
     * {@code a = gamma / sqrt(variance + eps)}: {@code dx = added + a dz}, slope and shift {@code [C]}, dgamma, dbeta. The
     * gradient of x is {@code dx + slope x + shift}, which {@link Settle} makes of them:
     * {@code slope = owed slope - a dgamma / M / sqrt(variance + eps)},
     * {@code shift = owed shift - a dbeta / M + a dgamma / M / sqrt(variance + eps) mean}.
     */
    public record Gradient(Normalize norm, Op op, boolean adds, boolean owes) implements Op {
        /** Checks that the norm is of x alone, and that what is owed belongs to what is added. */
        public Gradient {
            check(norm);
            if (owes && !adds) throw new IllegalArgumentException("nothing is added that could owe");
        }

        @Override
        public String name() { return "norm_" + op.name(); }

        /** Which of so many inputs is added; what it owes stands behind it. */
        public int added(int inputs) {
            return inputs - (owes ? 3 : 1);
        }

        private int operandsEnd(int inputs) { return adds ? added(inputs) : inputs; }

        @Override
        public List<Spec> infer(List<Spec> in) {
            Spec c = Spec.ofFloat(in.getFirst().shape().dim(1));
            List<Spec> made = op.infer(in.subList(OPERANDS, operandsEnd(in.size())));
            ShapeException.same(name(), in.getFirst().shape(), made.getFirst().shape());
            if (adds) ShapeException.same(name(), in.getFirst().shape(), in.get(added(in.size())).shape());
            return List.of(in.getFirst(), c, c, c, c);
        }

        @Override
        public long flops(List<Spec> in, List<Spec> out) {
            return op.flops(in.subList(OPERANDS, operandsEnd(in.size())), out.subList(0, 1))
                    + out.getFirst().shape().elements() * (7 + norm.activation().flops() + (adds ? 1 : 0));
        }

        @Override
        public void reference(Reference r) {
            Parts.Part dy = Parts.zeros(r.inShape(0));
            op.reference(new Parts(r, Parts.inputs(r, OPERANDS, operandsEnd(r.inputs())), List.of(dy)));
            int spatial = (int) r.inShape(0).elementsFrom(2);
            int channels = r.inShape(0).dim(1);
            double[] sum = new double[channels];
            double[] product = new double[channels];
            for (int i = 0; i < dy.values().length; i++) {
                int c = i / spatial % channels;
                double h = (r.in(0)[i] - r.in(1)[c]) * inverse(r, c);
                double dz = dy.values()[i] * norm.activation().slope(h * r.in(3)[c] + r.in(4)[c]);
                sum[c] += dz;
                product[c] += dz * h;
                r.out(0)[i] = (float) (r.in(3)[c] * inverse(r, c) * dz + (adds ? r.in(added(r.inputs()))[i] : 0));
            }
            for (int c = 0; c < channels; c++)
                owe(r, c, sum[c], product[c]);
        }

        private double inverse(Reference r, int c) { return 1 / Math.sqrt(r.in(2)[c] + norm.epsilon()); }

        private void owe(Reference r, int c, double dbeta, double dgamma) {
            int count = r.in(0).length / r.inShape(0).dim(1);
            double a = r.in(3)[c] * inverse(r, c) / count;
            double slope = -a * dgamma * inverse(r, c);
            r.out(1)[c] = (float) (slope + (owes ? r.in(added(r.inputs()) + 1)[c] : 0));
            r.out(2)[c] = (float) (-a * dbeta - slope * r.in(1)[c] + (owes ? r.in(added(r.inputs()) + 2)[c] : 0));
            r.out(3)[c] = (float) dgamma;
            r.out(4)[c] = (float) dbeta;
        }
    }

    /** {@code y = d + slope x + shift}, from d, x {@code [N,C,...]}, slope, shift {@code [C]}: a gradient of which nothing is owed. */
    public record Settle() implements Op {
        @Override
        public String name() { return "settle"; }

        @Override
        public List<Spec> infer(List<Spec> in) {
            ShapeException.same(name(), in.get(0).shape(), in.get(1).shape());
            return List.of(in.getFirst());
        }

        @Override
        public long flops(List<Spec> in, List<Spec> out) { return 3 * out.getFirst().shape().elements(); }

        @Override
        public void reference(Reference r) {
            int spatial = (int) r.inShape(0).elementsFrom(2);
            for (int i = 0; i < r.out(0).length; i++) {
                int c = i / spatial % r.inShape(0).dim(1);
                r.out(0)[i] = r.in(0)[i] + r.in(2)[c] * r.in(1)[i] + r.in(3)[c];
            }
        }
    }
}
