package isthmus.op;

import java.util.List;
import java.util.Map;

/** {@code y = x sigmoid(x)} (Elfwing et al. 2017; the same as Swish with factor 1). */
public record Silu() implements Op {
    @Override
    public String name() { return "silu"; }

    @Override
    public List<Spec> infer(List<Spec> in) { return List.of(in.getFirst()); }

    @Override
    public void gradient(Backward b) {
        if (b.wants(0)) b.give(0, b.apply(new BackwardPass(), b.node().in(0), b.upstream(0)).getFirst());
    }

    @Override
    public void onnx(OnnxEmitter o) { o.emit("Mul", Map.of(), o.input(0), o.step("Sigmoid", Map.of(), o.input(0))); }

    @Override
    public void reference(Reference r) {
        for (int i = 0; i < r.out(0).length; i++)
            r.out(0)[i] = (float) (r.in(0)[i] * Sigmoid.of(r.in(0)[i]));
    }

    /** The derivative at x: {@code s (1 + x (1 - s))} with {@code s = sigmoid(x)}. */
    static double slope(double x) {
        double s = Sigmoid.of(x);
        return s * (1 + x * (1 - s));
    }

    /** {@code dx = dy s (1 + x (1 - s))}, from x and dy. */
    public record BackwardPass() implements Op {
        @Override
        public String name() { return "silu_backward"; }

        @Override
        public List<Spec> infer(List<Spec> in) { return List.of(in.get(1)); }

        @Override
        public void reference(Reference r) {
            for (int i = 0; i < r.out(0).length; i++)
                r.out(0)[i] = (float) (r.in(1)[i] * slope(r.in(0)[i]));
        }
    }
}
