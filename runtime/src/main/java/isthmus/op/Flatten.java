package isthmus.op;

import isthmus.tensor.Shape;
import java.util.List;
import java.util.Map;

/** {@code [N,C,...] -> [N,C...]} in the logical order (channels outermost), as PyTorch's {@code flatten(x, 1)}. */
public record Flatten() implements Op {
    @Override
    public String name() { return "flatten"; }

    @Override
    public List<Spec> infer(List<Spec> in) {
        Shape x = in.get(0).shape();
        return List.of(in.get(0).with(Shape.of(x.dim(0), Math.toIntExact(x.elementsFrom(1)))));
    }

    @Override
    public void gradient(Backward b) {
        if (b.wants(0)) b.give(0, b.apply(new BackwardPass(b.node().in(0).shape()), b.upstream(0)).getFirst());
    }

    @Override
    public void onnx(OnnxEmitter o) { o.emit("Flatten", Map.of("axis", 1L), o.input(0)); }

    @Override
    public void reference(Reference r) { System.arraycopy(r.in(0), 0, r.out(0), 0, r.out(0).length); }

    @Override
    public boolean isView(List<Spec> in) { return in.get(0).shape().elementsFrom(2) == 1; }

    /** The way back: {@code [N,C...] -> [N,C,...]}. */
    public record BackwardPass(Shape x) implements Op {
        @Override
        public String name() { return "flatten_backward"; }

        @Override
        public List<Spec> infer(List<Spec> in) { return List.of(in.get(0).with(x)); }

        @Override
        public void reference(Reference r) { System.arraycopy(r.in(0), 0, r.out(0), 0, r.out(0).length); }

        @Override
        public boolean isView(List<Spec> in) { return x.elementsFrom(2) == 1; }
    }
}
