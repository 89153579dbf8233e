package isthmus.op;

import java.util.List;
import java.util.Map;

/** Between float32 and the compute type: what is fed in becomes an activation. Costs nothing in plain float32. */
public record Cast(Kind kind) implements Op {
    @Override
    public String name() { return "cast"; }

    @Override
    public List<Spec> infer(List<Spec> in) { return List.of(new Spec(in.get(0).shape(), kind)); }

    @Override
    public void gradient(Backward b) {
        if (b.wants(0)) b.give(0, b.apply(new Cast(b.node().in(0).spec().kind()), b.upstream(0)).getFirst());
    }

    @Override
    public void onnx(OnnxEmitter o) { o.emit("Identity", Map.of(), o.input(0)); }

    @Override
    public void reference(Reference r) { System.arraycopy(r.in(0), 0, r.out(0), 0, r.out(0).length); }

    @Override
    public boolean isView(List<Spec> in) { return true; }
}
