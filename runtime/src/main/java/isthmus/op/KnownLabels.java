package isthmus.op;

import isthmus.tensor.Shape;
import java.util.List;

/** What losses over labels that may be unknown share: logits and labels {@code [N,C]}, a factor a column, or none. */
final class KnownLabels {
    private KnownLabels() {}

    /** The loss and its gradient by the logits. */
    static List<Spec> infer(String op, List<Spec> in, List<Float> positiveWeights) {
        Shape x = in.get(0).shape();
        ShapeException.rank(op, x, 2);
        ShapeException.same(op, x, in.get(1).shape());
        ShapeException.require(positiveWeights.isEmpty() || positiveWeights.size() == x.dim(1), op,
                positiveWeights.size() + " weights for " + x.dim(1) + " columns");
        return List.of(Spec.ofFloat(), new Spec(x, Kind.FLOAT));
    }

    /** How many labels are known. */
    static int count(float... labels) {
        int known = 0;
        for (float label : labels)
            if (label >= 0) known++;
        return known;
    }
}
