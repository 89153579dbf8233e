package isthmus.op;

import java.util.List;

/**
 * Smooth L1 distance (Girshick 2015) of x from a target of the same shape, float32: the mean of
 * {@code |d| < beta ? d^2 / (2 beta) : |d| - beta / 2}. Results: the loss (scalar) and its gradient.
 *
 * @param beta where it turns from quadratic to linear; 0 is the absolute difference
 */
public record SmoothL1(float beta) implements Op {
    public SmoothL1 {
        if (!(beta >= 0)) throw new IllegalArgumentException("smooth_l1: beta is " + beta + ", below 0");
    }

    @Override
    public String name() { return "smooth_l1"; }

    @Override
    public List<Spec> infer(List<Spec> in) {
        ShapeException.same(name(), in.get(0).shape(), in.get(1).shape());
        return List.of(Spec.ofFloat(), new Spec(in.get(0).shape(), Kind.FLOAT));
    }

    @Override
    public void gradient(Backward b) { b.give(0, b.node().out(1)); }

    @Override
    public void reference(Reference r) {
        int n = r.in(0).length;
        double loss = 0;
        for (int i = 0; i < n; i++) {
            double d = (double) r.in(0)[i] - r.in(1)[i];
            boolean near = Math.abs(d) < beta;
            loss += near ? d * d / (2 * beta) : Math.abs(d) - beta / 2;
            r.out(1)[i] = (float) ((near ? d / beta : Math.signum(d)) / n);
        }
        r.out(0)[0] = (float) (loss / n);
    }
}
