package isthmus.op;

import isthmus.tensor.Shape;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * The second half of batch normalisation, with what may follow it in one pass:
 * {@code z = (x - mean) / sqrt(variance + eps) gamma + beta (+ residual)}, {@code y = activation(z)}.
 * Inputs: x {@code [N,C,...]}, mean, variance, gamma, beta {@code [C]}, and the residual if {@code residual}.
 * The derivative takes mean and variance as the batch's own; read from the weight buffer they are running statistics and
 * constants, and gamma and beta are taken as frozen with them.
 */
public record Normalize(float epsilon, boolean residual, Activation activation) implements Normalization {
    /** Checks the attributes. */
    public Normalize {
        check();
    }

    /** Without residual and activation. */
    public Normalize(float epsilon) { this(epsilon, false, Activation.NONE); }

    @Override
    public String name() { return "batch_norm"; }

    @Override
    public Normalization with(boolean addResidual, Activation then) {
        return new Normalize(epsilon, addResidual, then);
    }

    @Override
    public List<Spec> infer(List<Spec> in) {
        Shape x = in.get(0).shape();
        for (int i = 1; i <= 4; i++)
            ShapeException.same(name(), in.get(i).shape(), Shape.of(x.dim(1)));
        if (residual) ShapeException.same(name(), x, in.get(5).shape());
        return List.of(in.getFirst());
    }

    /** A factor and a summand a channel; then what is joined. */
    @Override
    public long flops(List<Spec> in, List<Spec> out) {
        return out.get(0).shape().elements() * (2 + (residual ? 1 : 0) + activation.flops());
    }

    @Override
    public void gradient(Backward b) {
        Node n = b.node();
        if (n.in(1).role() == Value.Role.PARAMETER) {
            gradientOfFrozen(b);
            return;
        }
        List<Value> d = backward(b, false);
        if (b.wants(0)) b.give(0, d.get(0));
        if (b.wants(3)) b.give(3, d.get(1));
        if (b.wants(4)) b.give(4, d.get(2));
        if (residual && b.wants(5)) b.give(5, masked() ? d.get(3) : b.upstream(0));
    }

    private void gradientOfFrozen(Backward b) {
        Node n = b.node();
        ShapeException.require(!b.wants(3) && !b.wants(4), name(),
                "scale or shift is trained while the statistics are frozen; freeze all or nothing of the layer");
        if (activation == Activation.SILU) {
            if (b.wants(0)) b.give(0, backward(b, true).getFirst());
            return;
        }
        Value dz = b.upstream(0);
        if (activation == Activation.RELU) dz = b.apply(new Relu.BackwardPass(), n.out(0), dz).getFirst();
        if (b.wants(0)) b.give(0, b.apply(new FrozenBackwardPass(epsilon), dz, n.in(2), n.in(3)).getFirst());
        if (residual && b.wants(5)) b.give(5, dz);
    }

    private List<Value> backward(Backward b, boolean constant) {
        Node n = b.node();
        List<Value> in = new ArrayList<>(List.of(n.in(0), b.upstream(0), n.in(1), n.in(2), n.in(3), n.in(4)));
        if (masked()) in.add(n.out(0));
        return b.apply(new BackwardPass(epsilon, activation, masked(), constant, false), in.toArray(Value[]::new));
    }

    @Override
    public void onnx(OnnxEmitter o) {
        String z = o.step("BatchNormalization", Map.of("epsilon", epsilon), o.input(0), o.input(3), o.input(4),
                o.input(1), o.input(2));
        activation.onnx(o, residual ? o.step("Add", Map.of(), z, o.input(5)) : z);
    }

    @Override
    public void reference(Reference r) {
        int spatial = (int) r.inShape(0).elementsFrom(2);
        int channels = r.inShape(0).dim(1);
        for (int i = 0; i < r.out(0).length; i++) {
            int c = i / spatial % channels;
            double z = (r.in(0)[i] - r.in(1)[c]) / Math.sqrt(r.in(2)[c] + epsilon) * r.in(3)[c] + r.in(4)[c];
            if (residual) z += r.in(5)[i];
            r.out(0)[i] = (float) activation.of(z);
        }
    }

    /**
     * From x, dy, mean, variance, gamma, beta, and y if {@code masked}: dx, dgamma, dbeta, and the residual's gradient if
     * masked. With {@code dz = dy activation'(z)} (masked: {@code dy where y > 0}) and {@code h = (x - mean) /
     * sqrt(variance + eps)} over M elements a channel: {@code dbeta = sum dz; dgamma = sum dz h;
     * dx = gamma / sqrt(variance + eps) (dz - dbeta / M - h dgamma / M)}; if mean and variance are {@code constant}, the last
     * two terms are not there. If it {@code adds}, the last input is added to dx.
     */
    public record BackwardPass(float epsilon, Activation activation, boolean masked, boolean constant,
            boolean adds) implements NormBackward {
        @Override
        public NormBackward adding() { return new BackwardPass(epsilon, activation, masked, constant, true); }

        @Override
        public String name() { return "batch_norm_backward"; }

        /** The sums over the batch come first, unless none are needed. */
        @Override
        public int readings(int i) { return !reads(i) ? 0 : constant || i > (masked ? 6 : 5) ? 1 : 2; }

        @Override
        public void reference(Reference r) {
            int spatial = (int) r.inShape(0).elementsFrom(2);
            int channels = r.inShape(0).dim(1);
            int count = r.in(0).length / channels;
            for (int i = 0; i < r.in(0).length; i++) {
                int c = i / spatial % channels;
                r.out(2)[c] += (float) dz(r, i, c);
                r.out(1)[c] += (float) (dz(r, i, c) * h(r, i, c));
            }
            for (int i = 0; i < r.in(0).length; i++) {
                int c = i / spatial % channels;
                double all = constant ? 0 : (r.out(2)[c] + h(r, i, c) * r.out(1)[c]) / count;
                double dx = r.in(4)[c] / Math.sqrt(r.in(3)[c] + epsilon) * (dz(r, i, c) - all);
                r.out(0)[i] = (float) (adds ? dx + r.in(r.inputs() - 1)[i] : dx);
                if (masked) r.out(3)[i] = (float) dz(r, i, c);
            }
        }

        private double h(Reference r, int i, int c) {
            return (r.in(0)[i] - r.in(2)[c]) / Math.sqrt(r.in(3)[c] + epsilon);
        }

        private double dz(Reference r, int i, int c) {
            double slope = masked ? r.in(6)[i] > 0 ? 1 : 0 : activation.slope(h(r, i, c) * r.in(4)[c] + r.in(5)[c]);
            return r.in(1)[i] * slope;
        }
    }

    /** {@code dx = gamma / sqrt(variance + eps) dz} from dz, variance, gamma: all but x is constant. */
    public record FrozenBackwardPass(float epsilon) implements Op {
        @Override
        public String name() { return "frozen_batch_norm_backward"; }

        @Override
        public List<Spec> infer(List<Spec> in) { return List.of(in.getFirst()); }

        @Override
        public void reference(Reference r) {
            int spatial = (int) r.inShape(0).elementsFrom(2);
            int channels = r.inShape(0).dim(1);
            for (int i = 0; i < r.in(0).length; i++) {
                int c = i / spatial % channels;
                r.out(0)[i] = (float) (r.in(0)[i] * r.in(2)[c] / Math.sqrt(r.in(1)[c] + epsilon));
            }
        }
    }
}
