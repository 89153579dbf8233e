package isthmus.op;

import isthmus.tensor.Shape;
import java.util.List;

/**
 * Mean softmax cross-entropy: logits {@code [N,C]} or, at every position, {@code [N,C,...]}, float32; class labels
 * {@code [N]} or {@code [N,...]}, int32, negative for unknown: those contribute nothing. Results: the loss (scalar) and its
 * gradient {@code (softmax - onehot) / known}, made in the same pass.
 */
public record CrossEntropy() implements Op {
    @Override
    public String name() { return "cross_entropy"; }

    @Override
    public List<Spec> infer(List<Spec> in) {
        Shape x = in.get(0).shape();
        checkLabels(name(), x, in.get(1).shape());
        return List.of(Spec.ofFloat(), new Spec(x, Kind.FLOAT));
    }

    /** Labels have the logits' axes but the second. */
    static void checkLabels(String op, Shape logits, Shape labels) {
        ShapeException.require(logits.rank() >= 2, op, "the logits are " + logits + "; expected [N,C,...]");
        int[] positions = new int[logits.rank() - 1];
        for (int i = 0; i < positions.length; i++)
            positions[i] = logits.dim(i == 0 ? 0 : i + 1);
        ShapeException.same(op, labels, Shape.of(positions));
    }

    @Override
    public void gradient(Backward b) { b.give(0, b.node().out(1)); }

    @Override
    public void reference(Reference r) {
        int classes = r.inShape(0).dim(1);
        int spatial = (int) r.inShape(0).elementsFrom(2);
        int known = 0;
        for (float label : r.in(1))
            if (label >= 0) known++;
        double[] p = new double[r.in(0).length];
        double loss = 0;
        for (int at = 0; at < r.in(1).length; at++) {
            int label = (int) r.in(1)[at];
            if (label < 0) continue;
            int first = at / spatial * classes * spatial + at % spatial;
            softmax(r.in(0), first, spatial, classes, p);
            loss -= Math.log(p[first + label * spatial]);
            for (int c = 0; c < classes; c++)
                r.out(1)[first + c * spatial] = (float) ((p[first + c * spatial] - (c == label ? 1 : 0)) / known);
        }
        r.out(0)[0] = known == 0 ? 0 : (float) (loss / known);
    }

    /** The softmax over the classes of one position; they are {@code step} apart. */
    static void softmax(float[] x, int first, int step, int classes, double[] p) {
        double max = Double.NEGATIVE_INFINITY;
        double sum = 0;
        for (int c = 0; c < classes; c++)
            max = Math.max(max, x[first + c * step]);
        for (int c = 0; c < classes; c++)
            sum += Math.exp(x[first + c * step] - max);
        for (int c = 0; c < classes; c++)
            p[first + c * step] = Math.exp(x[first + c * step] - max) / sum;
    }
}
