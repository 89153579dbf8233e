package isthmus.op;

import java.util.List;
import java.util.Map;

/**
 * Stochastic depth (Huang et al. 2016), torchvision's mode {@code row}: a whole sample of a residual branch is dropped with
 * probability p, else it is {@code x / (1 - p)}. Whether sample n stays is a function of the run's seed, the step, this op's
 * {@code id} and n alone, as in {@link Dropout}.
 */
public record StochasticDepth(float probability, int id) implements Op {
    public StochasticDepth {
        ShapeException.require(probability >= 0 && probability < 1, "stochastic_depth",
                "probability " + probability + " is not in [0, 1)");
    }

    @Override
    public String name() { return "stochastic_depth"; }

    @Override
    public List<Spec> infer(List<Spec> in) { return List.of(in.getFirst()); }

    @Override
    public void gradient(Backward b) { if (b.wants(0)) b.give(0, b.apply(this, b.upstream(0)).getFirst()); }

    @Override
    public void onnx(OnnxEmitter o) { o.emit("Identity", Map.of(), o.input(0)); }

    @Override
    public void reference(Reference r) {
        int size = (int) r.inShape(0).elementsFrom(1);
        for (int i = 0; i < r.out(0).length; i++) {
            boolean keep = Dropout.uniform(r.seed(), r.step(), id, i / size) >= probability;
            r.out(0)[i] = keep ? r.in(0)[i] / (1 - probability) : 0;
        }
    }
}
