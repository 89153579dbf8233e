package isthmus.op;

import java.util.List;
import java.util.Map;

/** {@code y = a + b}, equal shapes. */
public record Add() implements Op {
    @Override
    public String name() { return "add"; }

    @Override
    public List<Spec> infer(List<Spec> in) {
        ShapeException.same(name(), in.get(0).shape(), in.get(1).shape());
        return List.of(in.getFirst());
    }

    @Override
    public void gradient(Backward b) {
        if (b.wants(0)) b.give(0, b.upstream(0));
        if (b.wants(1)) b.give(1, b.upstream(0));
    }

    @Override
    public void onnx(OnnxEmitter o) { o.emit("Add", Map.of(), o.input(0), o.input(1)); }

    @Override
    public void reference(Reference r) {
        for (int i = 0; i < r.out(0).length; i++)
            r.out(0)[i] = r.in(0)[i] + r.in(1)[i];
    }
}
