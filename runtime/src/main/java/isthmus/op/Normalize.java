package isthmus.op;

import isthmus.tensor.Shape;
import java.util.List;
import java.util.Map;

/**
 * The second half of batch normalisation, with what may follow it in one pass:
 * {@code z = (x - mean) / sqrt(variance + eps) gamma + beta (+ residual)}, {@code y = relu ? max(z, 0) : z}.
 * Inputs: x {@code [N,C,...]}, mean, variance, gamma, beta {@code [C]}, and the residual if {@code residual}.
 * The derivative takes mean and variance as the batch's own; read from the weight buffer they are running statistics and
 * constants, and gamma and beta are taken as frozen with them.
 */
public record Normalize(float epsilon, boolean residual, boolean relu) implements Normalization {
    @Override
    public String name() { return "batch_norm"; }

    @Override
    public Normalization with(boolean addResidual, boolean rectify) {
        return new Normalize(epsilon, addResidual, rectify);
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
        return out.get(0).shape().elements() * (2 + (residual ? 1 : 0) + (relu ? 1 : 0));
    }

    @Override
    public void gradient(Backward b) {
        Node n = b.node();
        if (n.in(1).role() == Value.Role.PARAMETER) {
            gradientOfFrozen(b);
            return;
        }
        // x, y (for the sign only), dy, mean, variance, gamma
        List<Value> d = b.apply(new BackwardPass(epsilon, residual && relu, relu), n.in(0), n.out(0), b.upstream(0),
                n.in(1), n.in(2), n.in(3));
        if (b.wants(0)) b.give(0, d.get(0));
        if (b.wants(3)) b.give(3, d.get(1));
        if (b.wants(4)) b.give(4, d.get(2));
        if (residual && b.wants(5)) b.give(5, relu ? d.get(3) : b.upstream(0));
    }

    private void gradientOfFrozen(Backward b) {
        Node n = b.node();
        ShapeException.require(!b.wants(3) && !b.wants(4), name(),
                "scale or shift is trained while the statistics are frozen; freeze all or nothing of the layer");
        if (!relu) {
            if (b.wants(0))
                b.give(0, b.apply(new FrozenBackwardPass(epsilon), b.upstream(0), n.in(2), n.in(3)).getFirst());
            if (residual && b.wants(5)) b.give(5, b.upstream(0));
            return;
        }
        Value dz = b.apply(new Relu.BackwardPass(), n.out(0), b.upstream(0)).getFirst();
        if (b.wants(0)) b.give(0, b.apply(new FrozenBackwardPass(epsilon), dz, n.in(2), n.in(3)).getFirst());
        if (residual && b.wants(5)) b.give(5, dz);
    }

    @Override
    public void onnx(OnnxEmitter o) {
        Map<String, Object> attributes = Map.of("epsilon", epsilon);
        String[] in = {o.input(0), o.input(3), o.input(4), o.input(1), o.input(2)};
        if (!residual && !relu) {
            o.emit("BatchNormalization", attributes, in);
            return;
        }
        String z = o.step("BatchNormalization", attributes, in);
        if (residual && !relu) o.emit("Add", Map.of(), z, o.input(5));
        else
            o.emit("Relu", Map.of(), residual ? o.step("Add", Map.of(), z, o.input(5)) : z);
    }

    @Override
    public void reference(Reference r) {
        int spatial = (int) r.inShape(0).elementsFrom(2);
        int channels = r.inShape(0).dim(1);
        for (int i = 0; i < r.out(0).length; i++) {
            int c = i / spatial % channels;
            double z = (r.in(0)[i] - r.in(1)[c]) / Math.sqrt(r.in(2)[c] + epsilon) * r.in(3)[c] + r.in(4)[c];
            if (residual) z += r.in(5)[i];
            r.out(0)[i] = (float) (relu ? Math.max(z, 0) : z);
        }
    }

    /**
     * From x, y, dy, mean, variance, gamma: dx, dgamma, dbeta, and the residual's gradient if {@code branch}. With
     * {@code dz = relu ? dy where y > 0 : dy} and {@code h = (x - mean) / sqrt(variance + eps)} over M elements a channel:
     * {@code dbeta = sum dz; dgamma = sum dz h; dx = gamma / sqrt(variance + eps) (dz - dbeta / M - h dgamma / M)}.
     */
    public record BackwardPass(float epsilon, boolean branch, boolean relu) implements Op {
        @Override
        public String name() { return "batch_norm_backward"; }

        @Override
        public List<Spec> infer(List<Spec> in) {
            Spec c = new Spec(in.get(5).shape(), Kind.FLOAT);
            return branch ? List.of(in.get(0), c, c, in.get(0)) : List.of(in.get(0), c, c);
        }

        /** Five for the sums of dz and dz h, six for dx. */
        @Override
        public long flops(List<Spec> in, List<Spec> out) {
            return out.get(0).shape().elements() * (11 + (relu ? 1 : 0));
        }

        @Override
        public boolean reads(int i) { return i != 1 || relu; }

        @Override
        public void reference(Reference r) {
            int spatial = (int) r.inShape(0).elementsFrom(2);
            int channels = r.inShape(0).dim(1);
            int count = r.in(0).length / channels;
            for (int i = 0; i < r.in(0).length; i++) {
                int c = i / spatial % channels;
                r.out(2)[c] += dz(r, i);
                r.out(1)[c] += (float) (dz(r, i) * (r.in(0)[i] - r.in(3)[c]) / Math.sqrt(r.in(4)[c] + epsilon));
            }
            for (int i = 0; i < r.in(0).length; i++) {
                int c = i / spatial % channels;
                double inverse = 1 / Math.sqrt(r.in(4)[c] + epsilon);
                double h = (r.in(0)[i] - r.in(3)[c]) * inverse;
                r.out(0)[i] = (float) (r.in(5)[c] * inverse
                        * (dz(r, i) - r.out(2)[c] / (double) count - h * r.out(1)[c] / count));
                if (branch) r.out(3)[i] = dz(r, i);
            }
        }

        private float dz(Reference r, int i) { return relu && r.in(1)[i] <= 0 ? 0 : r.in(2)[i]; }
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
