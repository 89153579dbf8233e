package isthmus.op;

import isthmus.tensor.Shape;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Convolution of a normalised and activated value that is nowhere in memory: {@code y = conv(norm(x))}, from x, mean, variance,
 * gamma, beta, the weight, and the bias if the convolution has one. The compiler makes this op and its gradients after
 * differentiation, where the backend has kernels for them.
 */
public record NormConv(Normalize norm, Conv conv) implements Op {
    /** Where the convolution's own operands begin. */
    private static final int OPERANDS = 5;

    /** Checks that the norm is of x alone. */
    public NormConv {
        check(norm);
    }

    private static void check(Normalize norm) {
        if (norm.residual()) throw new IllegalArgumentException("a residual is not normalised on the way");
    }

    @Override
    public String name() { return "norm_conv"; }

    @Override
    public List<Spec> infer(List<Spec> in) {
        norm.infer(in.subList(0, OPERANDS));
        return conv.infer(operands(in));
    }

    private static List<Spec> operands(List<Spec> in) {
        List<Spec> own = new ArrayList<>(in.subList(OPERANDS, in.size()));
        own.addFirst(in.getFirst());
        return own;
    }

    @Override
    public long flops(List<Spec> in, List<Spec> out) {
        return norm.flops(in, List.of(in.getFirst())) + conv.flops(operands(in), out);
    }

    @Override
    public void reference(Reference r) {
        List<Part> in = new ArrayList<>(List.of(normalized(r, norm)));
        for (int i = OPERANDS; i < r.inputs(); i++)
            in.add(Part.in(r, i));
        conv.reference(new Parts(r, in, List.of(Part.out(r, 0))));
    }

    private static Part normalized(Reference r, Normalize norm) {
        Part y = Part.zeros(r.inShape(0));
        norm.reference(new Parts(r, IntStream.range(0, OPERANDS).mapToObj(i -> Part.in(r, i)).toList(), List.of(y)));
        return y;
    }

    /** The convolution's weight gradient (and its bias's), from x, mean, variance, gamma, beta, dy. */
    public record BackwardWeights(Normalize norm, Conv.BackwardWeights conv) implements Op {
        /** Checks that the norm is of x alone. */
        public BackwardWeights {
            check(norm);
        }

        @Override
        public String name() { return "norm_conv_backward_weights"; }

        @Override
        public List<Spec> infer(List<Spec> in) { return conv.infer(operands(in)); }

        @Override
        public long flops(List<Spec> in, List<Spec> out) {
            return norm.flops(in, List.of(in.getFirst())) + conv.flops(operands(in), out);
        }

        @Override
        public void reference(Reference r) {
            List<Part> out = IntStream.range(0, conv.bias() ? 2 : 1).mapToObj(i -> Part.out(r, i)).toList();
            conv.reference(new Parts(r, List.of(normalized(r, norm), Part.in(r, OPERANDS)), out));
        }
    }

    /**
     * From x, mean, variance, gamma, beta, dy, the weight, and if it {@code adds}, what is added, and if that {@code owes}, what it
     * owes: the convolution's data gradient taken back through the norm, as far as that goes position by position. With dz,
     * h, M as for {@link Normalize.BackwardPass} and {@code a = gamma / sqrt(variance + eps)}: {@code dx = added + a dz},
     * slope and shift {@code [C]}, dgamma, dbeta. The gradient is {@code dx + slope x + shift}, which {@link Settle} makes of
     * them: {@code slope = owed slope - a dgamma / M / sqrt(variance + eps)},
     * {@code shift = owed shift - a dbeta / M + a dgamma / M / sqrt(variance + eps) mean}.
     */
    public record BackwardData(Normalize norm, Conv.BackwardData conv, boolean adds, boolean owes) implements Op {
        /** Where what is added stands. */
        public static final int ADDED = OPERANDS + 2;

        /** Checks that the norm is of x alone. */
        public BackwardData {
            check(norm);
        }

        @Override
        public String name() { return "norm_conv_backward_data"; }

        @Override
        public List<Spec> infer(List<Spec> in) {
            Spec c = Spec.ofFloat(in.getFirst().shape().dim(1));
            ShapeException.same(name(), in.getFirst().shape(), conv.x());
            if (adds) ShapeException.same(name(), in.getFirst().shape(), in.get(ADDED).shape());
            return List.of(in.getFirst(), c, c, c, c);
        }

        @Override
        public long flops(List<Spec> in, List<Spec> out) {
            return conv.flops(in.subList(OPERANDS, in.size()), out)
                    + out.getFirst().shape().elements() * (7 + norm.activation().flops() + (adds ? 1 : 0));
        }

        @Override
        public void reference(Reference r) {
            Part dy = Part.zeros(r.inShape(0));
            conv.reference(new Parts(r, List.of(Part.in(r, OPERANDS), Part.in(r, OPERANDS + 1)), List.of(dy)));
            int spatial = (int) r.inShape(0).elementsFrom(2);
            int channels = r.inShape(0).dim(1);
            double[] sum = new double[channels];
            double[] product = new double[channels];
            for (int i = 0; i < dy.values.length; i++) {
                int c = i / spatial % channels;
                double h = (r.in(0)[i] - r.in(1)[c]) * inverse(r, c);
                double dz = dy.values[i] * norm.activation().slope(h * r.in(3)[c] + r.in(4)[c]);
                sum[c] += dz;
                product[c] += dz * h;
                r.out(0)[i] = (float) (r.in(3)[c] * inverse(r, c) * dz + (adds ? r.in(ADDED)[i] : 0));
            }
            for (int c = 0; c < channels; c++)
                owe(r, c, sum[c], product[c]);
        }

        private double inverse(Reference r, int c) { return 1 / Math.sqrt(r.in(2)[c] + norm.epsilon()); }

        private void owe(Reference r, int c, double dbeta, double dgamma) {
            double a = r.in(3)[c] * inverse(r, c) / (r.in(0).length / r.inShape(0).dim(1));
            double slope = -a * dgamma * inverse(r, c);
            r.out(1)[c] = (float) (slope + (owes ? r.in(ADDED + 1)[c] : 0));
            r.out(2)[c] = (float) (-a * dbeta - slope * r.in(1)[c] + (owes ? r.in(ADDED + 2)[c] : 0));
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

    /** Values that an op within this one reads or writes. */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    private record Part(float[] values, Shape shape) {
        static Part in(Reference r, int i) { return new Part(r.in(i), r.inShape(i)); }

        static Part out(Reference r, int i) { return new Part(r.out(i), r.outShape(i)); }

        static Part zeros(Shape s) { return new Part(new float[Math.toIntExact(s.elements())], s); }
    }

    /** The naive computation of an op within this one. */
    private record Parts(Reference whole, List<Part> in, List<Part> out) implements Reference {
        @Override
        public float[] in(int i) { return in.get(i).values; }

        @Override
        public float[] out(int i) { return out.get(i).values; }

        @Override
        public Shape inShape(int i) { return in.get(i).shape; }

        @Override
        public Shape outShape(int i) { return out.get(i).shape; }

        @Override
        public int inputs() { return in.size(); }

        @Override
        public long seed() { return whole.seed(); }

        @Override
        public long step() { return whole.step(); }

        @Override
        public float lossScale() { return whole.lossScale(); }
    }
}
