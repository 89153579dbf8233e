package isthmus.train;

import isthmus.graph.Graph;
import isthmus.op.BceWithLogits;
import isthmus.op.CrossEntropy;
import isthmus.op.DetectionLoss;
import isthmus.op.Kind;
import isthmus.op.Op;
import isthmus.op.Spec;
import isthmus.op.Value;
import isthmus.tensor.Shape;
import java.util.List;

/** What training makes small. */
public sealed interface Loss {
    /** Name of the graph's input with the targets. */
    String LABELS = "labels";

    /** Name of the graph's output with the loss, one float32. */
    String LOSS = "loss";

    /** One or several yes-or-no findings; labels float32 {@code [N,C]}: 1, 0, negative for unknown. */
    record BinaryCrossEntropy(List<Float> positiveWeights) implements Loss {}

    /**
     * {@link BinaryCrossEntropy} whose easy samples weigh little: the rarer a finding, the better it is learnt.
     *
     * @param gamma how fast the weight falls with the probability of being right; 2 is usual, 0 is cross-entropy
     * @param alpha factor on all
     * @param positiveWeights one factor a finding on its positives; empty for 1
     */
    record Focal(double gamma, double alpha, List<Float> positiveWeights) implements Loss {}

    /** One of several classes, of a picture or at every position; labels int32 {@code [N]} or {@code [N,...]}. */
    record SoftmaxCrossEntropy() implements Loss {}

    /**
     * Segmentation: softmax Dice plus cross-entropy at every position; labels int32 {@code [N,...]}, negative for unknown.
     *
     * @param smooth keeps classes that are nowhere from dividing by zero; 1e-5 is usual
     * @param includeBackground whether class 0 counts in the Dice part
     */
    record DiceCrossEntropy(float smooth, boolean includeBackground) implements Loss {}

    /** Regression; labels are float32 targets of the outputs' shape. */
    record SmoothL1(float beta) implements Loss {}

    /** Boxes from a detector's joined maps; labels are rows of targets, see {@link DetectionLoss}. */
    record Detection(DetectionLoss op) implements Loss {}

    /** Adds the labels' input and the loss to a graph. */
    default void attach(Graph graph, Value logits) {
        Shape x = logits.shape();
        Spec labels = switch (this) {
            case BinaryCrossEntropy b -> new Spec(x, Kind.FLOAT);
            case Focal f -> new Spec(x, Kind.FLOAT);
            case SoftmaxCrossEntropy s -> new Spec(positions(x), Kind.LABEL);
            case DiceCrossEntropy d -> new Spec(positions(x), Kind.LABEL);
            case SmoothL1 s -> new Spec(x, Kind.FLOAT);
            case Detection d -> Spec.ofFloat(x.dim(0), d.op.capacity() * d.op.rowLength());
        };
        Op op = switch (this) {
            case BinaryCrossEntropy b -> new BceWithLogits(b.positiveWeights);
            case Focal f -> new isthmus.op.Focal(f.gamma, f.alpha, f.positiveWeights);
            case SoftmaxCrossEntropy s -> new CrossEntropy();
            case DiceCrossEntropy d -> new isthmus.op.DiceCrossEntropy(d.smooth, d.includeBackground);
            case SmoothL1 s -> new isthmus.op.SmoothL1(s.beta);
            case Detection d -> d.op;
        };
        graph.output(LOSS, graph.apply(LOSS, op, logits, graph.input(LABELS, labels)).getFirst());
    }

    /** The axes of the labels where each position has one. */
    private static Shape positions(Shape logits) {
        int[] dims = logits.dims();
        int[] kept = new int[dims.length - 1];
        kept[0] = dims[0];
        System.arraycopy(dims, 2, kept, 1, kept.length - 1);
        return Shape.of(kept);
    }
}
