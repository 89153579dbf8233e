package isthmus.op;

import java.util.List;
import java.util.Map;

/** {@code y = max(x, 0)}. */
public record Relu() implements Op {
    @Override
    public String name() { return "relu"; }

    @Override
    public List<Spec> infer(List<Spec> in) { return List.of(in.getFirst()); }

    @Override
    public void gradient(Backward b) {
        if (b.wants(0)) b.give(0, b.apply(new BackwardPass(), b.node().out(0), b.upstream(0)).getFirst());
    }

    @Override
    public void onnx(OnnxEmitter o) { o.emit("Relu", Map.of(), o.input(0)); }

    @Override
    public void reference(Reference r) {
        for (int i = 0; i < r.out(0).length; i++)
            r.out(0)[i] = Math.max(r.in(0)[i], 0);
    }

    /** {@code dx = dy where y > 0, else 0}, from y and dy. */
    public record BackwardPass() implements Op {
        @Override
        public String name() { return "relu_backward"; }

        @Override
        public List<Spec> infer(List<Spec> in) { return List.of(in.get(1)); }

        @Override
        public void reference(Reference r) {
            for (int i = 0; i < r.out(0).length; i++)
                r.out(0)[i] = r.in(0)[i] > 0 ? r.in(1)[i] : 0;
        }
    }
}
