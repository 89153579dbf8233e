package isthmus.op;

import java.util.List;
import java.util.Map;

/** {@code y = factor x}. */
public record Multiply(float factor) implements Op {
    @Override
    public String name() { return "multiply"; }

    @Override
    public List<Spec> infer(List<Spec> in) { return List.of(in.getFirst()); }

    @Override
    public void gradient(Backward b) { if (b.wants(0)) b.give(0, b.apply(this, b.upstream(0)).getFirst()); }

    @Override
    public void onnx(OnnxEmitter o) {
        o.emit("Mul", Map.of(), o.input(0), o.step("Constant", Map.of("value_float", factor)));
    }

    @Override
    public void reference(Reference r) {
        for (int i = 0; i < r.out(0).length; i++)
            r.out(0)[i] = factor * r.in(0)[i];
    }
}
