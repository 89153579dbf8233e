package isthmus.op;

import isthmus.tensor.Shape;
import java.util.List;

/**
 * Mean softmax cross-entropy: logits {@code [N,C]} float32, class labels {@code [N]} int32. Results: the loss (scalar) and
 * its gradient {@code (softmax - onehot) / N}, made in the same pass.
 */
public record CrossEntropy() implements Op {
    @Override
    public String name() { return "cross_entropy"; }

    @Override
    public List<Spec> infer(List<Spec> in) {
        Shape x = in.get(0).shape();
        ShapeException.rank(name(), x, 2);
        ShapeException.same(name(), in.get(1).shape(), Shape.of(x.dim(0)));
        return List.of(Spec.ofFloat(), new Spec(x, Kind.FLOAT));
    }

    @Override
    public void gradient(Backward b) { b.give(0, b.node().out(1)); }

    @Override
    public void reference(Reference r) {
        int classes = r.inShape(0).dim(1);
        int n = r.inShape(0).dim(0);
        double loss = 0;
        for (int i = 0; i < n; i++) {
            double max = Double.NEGATIVE_INFINITY;
            double sum = 0;
            for (int c = 0; c < classes; c++)
                max = Math.max(max, r.in(0)[i * classes + c]);
            for (int c = 0; c < classes; c++)
                sum += Math.exp(r.in(0)[i * classes + c] - max);
            int label = (int) r.in(1)[i];
            loss += Math.log(sum) + max - r.in(0)[i * classes + label];
            for (int c = 0; c < classes; c++) {
                r.out(1)[i * classes
                        + c] = (float) ((Math.exp(r.in(0)[i * classes + c] - max) / sum - (c == label ? 1 : 0)) / n);
            }
        }
        r.out(0)[0] = (float) (loss / n);
    }
}
