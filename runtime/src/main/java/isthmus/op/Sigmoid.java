package isthmus.op;

import java.util.List;
import java.util.Map;

/** {@code y = 1 / (1 + exp(-x))}. */
public record Sigmoid() implements Op {
    @Override
    public String name() { return "sigmoid"; }

    @Override
    public List<Spec> infer(List<Spec> in) { return List.of(in.getFirst()); }

    @Override
    public void gradient(Backward b) {
        if (b.wants(0)) b.give(0, b.apply(new BackwardPass(), b.node().out(0), b.upstream(0)).getFirst());
    }

    @Override
    public void onnx(OnnxEmitter o) { o.emit("Sigmoid", Map.of(), o.input(0)); }

    @Override
    public void reference(Reference r) {
        for (int i = 0; i < r.out(0).length; i++)
            r.out(0)[i] = (float) of(r.in(0)[i]);
    }

    static double of(double x) { return 1 / (1 + Math.exp(-x)); }

    /** {@code dx = dy y (1 - y)}, from y and dy. */
    public record BackwardPass() implements Op {
        @Override
        public String name() { return "sigmoid_backward"; }

        @Override
        public List<Spec> infer(List<Spec> in) { return List.of(in.get(1)); }

        @Override
        public void reference(Reference r) {
            for (int i = 0; i < r.out(0).length; i++)
                r.out(0)[i] = r.in(1)[i] * r.in(0)[i] * (1 - r.in(0)[i]);
        }
    }
}
