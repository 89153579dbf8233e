package isthmus.op;

import isthmus.tensor.Shape;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * Group normalisation (Wu and He 2018), with what may follow it in one pass: over each sample's group of channels,
 * {@code z = (x - mean) / sqrt(variance + eps) gamma + beta (+ residual)}, {@code y = activation(z)}.
 * Inputs: x {@code [N,C,...]}, gamma, beta {@code [C]}, and the residual if {@code residual}. Results: y, and float32
 * mean and biased variance {@code [N,groups]} for the derivative. Training and evaluation are the same.
 */
public record GroupNorm(int groups, float epsilon, boolean residual, Activation activation)
        implements
            Normalization {
    /** Checks the attributes. */
    public GroupNorm {
        if (groups < 1) throw new IllegalArgumentException("group_norm: " + groups + " groups; at least 1 is needed");
        if (!(epsilon > 0)) throw new IllegalArgumentException("group_norm: epsilon is " + epsilon + ", not above 0");
        check();
    }

    /** Without residual and activation. */
    public GroupNorm(int groups, float epsilon) {
        this(groups, epsilon, false, Activation.NONE);
    }

    @Override
    public String name() { return "group_norm"; }

    @Override
    public Normalization with(boolean addResidual, Activation then) {
        return new GroupNorm(groups, epsilon, addResidual, then);
    }

    @Override
    public List<Spec> infer(List<Spec> in) {
        Shape x = in.get(0).shape();
        ShapeException.require(x.rank() >= 2, name(), "the input is " + x + "; expected [N,C,...]");
        ShapeException.require(x.dim(1) % groups == 0, name(),
                x.dim(1) + " channels of " + x + " do not make " + groups + " groups of one size");
        for (int i = 1; i <= 2; i++)
            ShapeException.same(name(), in.get(i).shape(), Shape.of(x.dim(1)));
        if (residual) ShapeException.same(name(), x, in.get(3).shape());
        Spec statistic = Spec.ofFloat(x.dim(0), groups);
        return List.of(in.getFirst(), statistic, statistic);
    }

    /** A factor and a summand a channel, after a sum and a sum of squares; then what is joined. */
    @Override
    public long flops(List<Spec> in, List<Spec> out) {
        return out.get(0).shape().elements() * (5 + (residual ? 1 : 0) + activation.flops());
    }

    /** Mean and variance come first. */
    @Override
    public int readings(int i) { return i == 0 ? 2 : 1; }

    @Override
    public void gradient(Backward b) {
        Node n = b.node();
        List<Value> in = new ArrayList<>(List.of(n.in(0), b.upstream(0), n.out(1), n.out(2), n.in(1), n.in(2)));
        if (masked()) in.add(n.out(0));
        List<Value> d = b.apply(new BackwardPass(groups, epsilon, activation, masked(), false),
                in.toArray(Value[]::new));
        for (int i = 0; i < 3; i++)
            if (b.wants(i)) b.give(i, d.get(i));
        if (residual && b.wants(3)) b.give(3, masked() ? d.get(3) : b.upstream(0));
    }

    /**
     * Opset 17 has no group normalisation: InstanceNormalization over {@code [N,groups,...]} is one without gamma and beta,
     * which are then applied a channel. A 0 in a shape keeps that axis, so the batch stays free.
     */
    @Override
    public void onnx(OnnxEmitter o) {
        Shape x = o.node().in(0).shape();
        float[] ones = new float[groups];
        Arrays.fill(ones, 1);
        String grouped = o.step("Reshape", Map.of(), o.input(0), longs(o, 0, groups, -1));
        // Runtimes sum in float32; what they take off a group's mean again is small, and exact.
        String mean = o.step("ReduceMean", Map.of("axes", new long[]{2}, "keepdims", 1L), grouped);
        String centred = o.step("Sub", Map.of(), grouped, mean);
        String normal = o.step("InstanceNormalization", Map.of("epsilon", epsilon), centred, floats(o, ones),
                floats(o, new float[groups]));
        long[] whole = Arrays.stream(x.dims()).asLongStream().toArray();
        whole[0] = 0;
        long[] channel = new long[x.rank() - 1];
        Arrays.fill(channel, 1);
        channel[0] = x.dim(1);
        String back = o.step("Reshape", Map.of(), normal, longs(o, whole));
        String scaled = o.step("Mul", Map.of(), back, o.step("Reshape", Map.of(), o.input(1), longs(o, channel)));
        String beta = o.step("Reshape", Map.of(), o.input(2), longs(o, channel));
        String z = o.step("Add", Map.of(), scaled, beta);
        activation.onnx(o, residual ? o.step("Add", Map.of(), z, o.input(3)) : z);
    }

    private static String longs(OnnxEmitter o, long... values) {
        return o.step("Constant", Map.of("value_ints", values));
    }

    private static String floats(OnnxEmitter o, float... values) {
        return o.step("Constant", Map.of("value_floats", values));
    }

    @Override
    public void reference(Reference r) {
        int spatial = (int) r.inShape(0).elementsFrom(2);
        int channels = r.inShape(0).dim(1);
        int count = channels / groups * spatial; // a sample's group is one stretch of the logical order
        for (int g = 0; g < r.out(1).length; g++) {
            double sum = 0;
            for (int i = g * count; i < (g + 1) * count; i++)
                sum += r.in(0)[i];
            double squares = 0;
            for (int i = g * count; i < (g + 1) * count; i++)
                squares += Math.pow(r.in(0)[i] - sum / count, 2);
            r.out(1)[g] = (float) (sum / count);
            r.out(2)[g] = (float) (squares / count);
        }
        for (int i = 0; i < r.out(0).length; i++) {
            int c = i / spatial % channels;
            int g = i / count;
            double z = (r.in(0)[i] - r.out(1)[g]) / Math.sqrt(r.out(2)[g] + epsilon) * r.in(1)[c] + r.in(2)[c];
            if (residual) z += r.in(3)[i];
            r.out(0)[i] = (float) activation.of(z);
        }
    }

    /** The op that makes the same y, bit for bit, from the statistics that this one has made. */
    public Again again() {
        return new Again(groups, epsilon, residual, activation);
    }

    /** From x, mean, variance, gamma, beta, and the residual if {@code residual}: y once more; see {@link GroupNorm}. */
    public record Again(int groups, float epsilon, boolean residual, Activation activation) implements Op {
        @Override
        public String name() { return "group_norm_again"; }

        @Override
        public List<Spec> infer(List<Spec> in) {
            Shape x = in.get(0).shape();
            for (int i = 1; i <= 2; i++)
                ShapeException.same(name(), in.get(i).shape(), Shape.of(x.dim(0), groups));
            for (int i = 3; i <= 4; i++)
                ShapeException.same(name(), in.get(i).shape(), Shape.of(x.dim(1)));
            if (residual) ShapeException.same(name(), x, in.get(5).shape());
            return List.of(in.getFirst());
        }

        @Override
        public long flops(List<Spec> in, List<Spec> out) {
            return out.get(0).shape().elements() * (2 + (residual ? 1 : 0) + activation.flops());
        }

        @Override
        public void reference(Reference r) {
            int spatial = (int) r.inShape(0).elementsFrom(2);
            int channels = r.inShape(0).dim(1);
            int count = channels / groups * spatial;
            for (int i = 0; i < r.out(0).length; i++) {
                int c = i / spatial % channels;
                int g = i / count;
                double z = (r.in(0)[i] - r.in(1)[g]) / Math.sqrt(r.in(2)[g] + epsilon) * r.in(3)[c] + r.in(4)[c];
                if (residual) z += r.in(5)[i];
                r.out(0)[i] = (float) activation.of(z);
            }
        }
    }

    /**
     * From x, dy, mean, variance, gamma, beta, and y if {@code masked}: dx, dgamma, dbeta, and the residual's gradient if
     * masked. With {@code dz = dy activation'(z)} (masked: {@code dy where y > 0}) and {@code h = (x - mean) /
     * sqrt(variance + eps)}: {@code dbeta = sum dz; dgamma = sum dz h; dx = (gamma dz - E[gamma dz] - h E[gamma dz h]) /
     * sqrt(variance + eps)}, E over the sample's group. If it {@code adds}, the last input is added to dx.
     */
    public record BackwardPass(int groups, float epsilon, Activation activation, boolean masked,
            boolean adds) implements NormBackward {
        @Override
        public NormBackward adding() { return new BackwardPass(groups, epsilon, activation, masked, true); }

        @Override
        public String name() { return "group_norm_backward"; }

        /** The sums over a group come first. */
        @Override
        public int readings(int i) { return !reads(i) ? 0 : i > (masked ? 6 : 5) ? 1 : 2; }

        @Override
        public void reference(Reference r) {
            int spatial = (int) r.inShape(0).elementsFrom(2);
            int channels = r.inShape(0).dim(1);
            int count = channels / groups * spatial;
            double[] dgamma = new double[channels];
            double[] dbeta = new double[channels];
            for (int g = 0; g < r.in(2).length; g++) {
                double first = 0;
                double second = 0;
                for (int i = g * count; i < (g + 1) * count; i++) {
                    int c = i / spatial % channels;
                    dbeta[c] += dz(r, i, g);
                    dgamma[c] += dz(r, i, g) * h(r, i, g);
                    first += r.in(4)[c] * dz(r, i, g) / count;
                    second += r.in(4)[c] * dz(r, i, g) * h(r, i, g) / count;
                }
                double inverse = 1 / Math.sqrt(r.in(3)[g] + epsilon);
                for (int i = g * count; i < (g + 1) * count; i++) {
                    double dh = r.in(4)[i / spatial % channels] * dz(r, i, g);
                    double dx = inverse * (dh - first - h(r, i, g) * second);
                    r.out(0)[i] = (float) (adds ? dx + r.in(r.inputs() - 1)[i] : dx);
                    if (masked) r.out(3)[i] = (float) dz(r, i, g);
                }
            }
            for (int c = 0; c < channels; c++) {
                r.out(1)[c] = (float) dgamma[c];
                r.out(2)[c] = (float) dbeta[c];
            }
        }

        private double dz(Reference r, int i, int g) {
            if (masked) return r.in(6)[i] > 0 ? r.in(1)[i] : 0;
            int c = i / (int) r.inShape(0).elementsFrom(2) % r.inShape(0).dim(1);
            return r.in(1)[i] * activation.slope(h(r, i, g) * r.in(4)[c] + r.in(5)[c]);
        }

        private double h(Reference r, int i, int g) {
            return (r.in(0)[i] - r.in(2)[g]) / Math.sqrt(r.in(3)[g] + epsilon);
        }
    }
}
