package isthmus.op;

import isthmus.tensor.Shape;
import java.util.List;
import java.util.Map;

/**
 * {@code y = x w^T + b}: x {@code [N,I]}, weight {@code [O,I]}, y {@code [N,O]}, and the bias {@code [O]} if {@code bias}.
 *
 * @param logits whether y is kept in float32 in mixed precision too, as the last layer's should be
 */
public record Linear(boolean bias, boolean logits) implements Op {
    @Override
    public String name() { return "linear"; }

    @Override
    public List<Spec> infer(List<Spec> in) {
        Shape x = in.get(0).shape();
        Shape w = in.get(1).shape();
        ShapeException.rank(name(), x, 2);
        ShapeException.require(w.rank() == 2 && w.dim(1) == x.dim(1), name(),
                "the input " + x + " does not fit the weight " + w);
        if (bias) ShapeException.same(name(), in.get(2).shape(), Shape.of(w.dim(0)));
        return List.of(new Spec(Shape.of(x.dim(0), w.dim(0)), logits ? Kind.FLOAT : in.get(0).kind()));
    }

    @Override
    public long flops(List<Spec> in, List<Spec> out) {
        return 2 * in.get(0).shape().elements() * out.get(0).shape().dim(1);
    }

    @Override
    public void gradient(Backward b) {
        Value dy = b.upstream(0);
        if (b.wants(1) || (bias && b.wants(2))) {
            List<Value> d = b.apply(new BackwardWeights(bias), b.node().in(0), dy);
            b.give(1, d.get(0));
            if (bias) b.give(2, d.get(1));
        }
        if (b.wants(0))
            b.give(0, b.apply(new BackwardData(b.node().in(0).spec().kind()), dy, b.node().in(1)).getFirst());
    }

    @Override
    public void onnx(OnnxEmitter o) {
        Map<String, Object> attributes = Map.of("transB", 1L);
        if (bias) o.emit("Gemm", attributes, o.input(0), o.input(1), o.input(2));
        else
            o.emit("Gemm", attributes, o.input(0), o.input(1));
    }

    @Override
    public void reference(Reference r) {
        int in = r.inShape(0).dim(1);
        int out = r.inShape(1).dim(0);
        for (int i = 0; i < r.out(0).length; i++) {
            double sum = bias ? r.in(2)[i % out] : 0;
            for (int k = 0; k < in; k++)
                sum += r.in(0)[i / out * in + k] * r.in(1)[i % out * in + k];
            r.out(0)[i] = (float) sum;
        }
    }

    /** {@code dx = dy w}. */
    public record BackwardData(Kind kind) implements Op {
        @Override
        public String name() { return "linear_backward_data"; }

        @Override
        public List<Spec> infer(List<Spec> in) {
            return List.of(new Spec(Shape.of(in.get(0).shape().dim(0), in.get(1).shape().dim(1)), kind));
        }

        @Override
        public long flops(List<Spec> in, List<Spec> out) {
            return 2 * in.get(0).shape().elements() * in.get(1).shape().dim(1);
        }

        @Override
        public void reference(Reference r) {
            int in = r.inShape(1).dim(1);
            int out = r.inShape(1).dim(0);
            for (int i = 0; i < r.out(0).length; i++) {
                double sum = 0;
                for (int o = 0; o < out; o++)
                    sum += r.in(0)[i / in * out + o] * r.in(1)[o * in + i % in];
                r.out(0)[i] = (float) sum;
            }
        }
    }

    /** {@code dw = dy^T x}, and {@code db = column sums of dy} if {@code bias}, float32. */
    public record BackwardWeights(boolean bias) implements Op {
        @Override
        public String name() { return "linear_backward_weights"; }

        @Override
        public List<Spec> infer(List<Spec> in) {
            int out = in.get(1).shape().dim(1);
            Spec dw = Spec.ofFloat(out, in.get(0).shape().dim(1));
            return bias ? List.of(dw, Spec.ofFloat(out)) : List.of(dw);
        }

        @Override
        public long flops(List<Spec> in, List<Spec> out) {
            return 2 * in.get(0).shape().elements() * in.get(1).shape().dim(1);
        }

        @Override
        public void reference(Reference r) {
            int in = r.inShape(0).dim(1);
            int out = r.inShape(1).dim(1);
            for (int n = 0; n < r.inShape(0).dim(0); n++) {
                for (int o = 0; o < out; o++) {
                    float dy = r.in(1)[n * out + o];
                    if (bias) r.out(1)[o] += dy;
                    for (int k = 0; k < in; k++)
                        r.out(0)[o * in + k] += dy * r.in(0)[n * in + k];
                }
            }
        }
    }
}
