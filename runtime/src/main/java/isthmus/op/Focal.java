package isthmus.op;

import java.util.List;

/**
 * Focal loss (Lin et al. 2017) on logits {@code [N,C]} and labels {@code [N,C]} (float32; above 0 positive, 0 negative,
 * below 0 unknown): {@code alpha w (1 - p)^gamma (-log p)}, p being the probability of the label as it is, the mean over
 * known labels; unknown ones contribute nothing, and none known gives 0. Results: the loss (scalar) and its gradient.
 *
 * @param positiveWeights w of positive labels, one factor a column; empty for 1. Negative labels have w = 1.
 */
public record Focal(double gamma, double alpha, List<Float> positiveWeights) implements Op {
    public Focal {
        positiveWeights = List.copyOf(positiveWeights);
        if (!(gamma >= 0)) throw new IllegalArgumentException("focal: gamma is " + gamma + ", not 0 or more");
        if (!(alpha > 0)) throw new IllegalArgumentException("focal: alpha is " + alpha + ", not above 0");
    }

    @Override
    public String name() { return "focal"; }

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
            float label = r.in(1)[i];
            if (label < 0) continue;
            double sign = label > 0 ? 1 : -1;
            double weight = alpha * (label > 0 && !positiveWeights.isEmpty() ? positiveWeights.get(i % columns) : 1);
            double x = sign * r.in(0)[i];
            double p = Sigmoid.of(x);
            double miss = Sigmoid.of(-x); // 1 - p
            double surprise = Math.max(-x, 0) + Math.log1p(Math.exp(-Math.abs(x))); // -log p
            double factor = weight * Math.pow(miss, gamma);
            loss += factor * surprise;
            r.out(1)[i] = (float) (-sign * factor * (gamma * p * surprise + miss) / known);
        }
        r.out(0)[0] = known == 0 ? 0 : (float) (loss / known);
    }
}
