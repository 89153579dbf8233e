package isthmus.op;

import java.util.List;

/**
 * Binary cross-entropy on logits {@code [N,C]} and labels {@code [N,C]} (float32; 1, 0, or negative for unknown), as
 * PyTorch's BCEWithLogitsLoss: {@code w y softplus(-x) + (1 - y) softplus(x)}, the mean over known labels; unknown ones
 * contribute nothing, and none known gives 0. Results: the loss (scalar) and its gradient.
 *
 * @param positiveWeights w, one factor a column; empty for 1
 */
public record BceWithLogits(List<Float> positiveWeights) implements Op {
    @Override
    public String name() { return "bce_with_logits"; }

    @Override
    public List<Spec> infer(List<Spec> in) { return KnownLabels.infer(name(), in, positiveWeights); }

    @Override
    public void gradient(Backward b) { b.give(0, b.node().out(1)); }

    @Override
    public void reference(Reference r) {
        int columns = r.inShape(0).dim(1);
        int known = KnownLabels.count(r.in(1));
        double loss = 0;
        for (int i = 0; i < r.in(0).length; i++) {
            double x = r.in(0)[i];
            double y = r.in(1)[i];
            if (y < 0) continue;
            double w = positiveWeights.isEmpty() ? 1 : positiveWeights.get(i % columns);
            double p = 1 / (1 + Math.exp(-x));
            loss += w * y * softplus(-x) + (1 - y) * softplus(x);
            r.out(1)[i] = (float) (((1 - y) * p - w * y * (1 - p)) / known);
        }
        r.out(0)[0] = known == 0 ? 0 : (float) (loss / known);
    }

    private static double softplus(double x) { return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))); }
}
