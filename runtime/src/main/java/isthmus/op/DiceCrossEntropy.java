package isthmus.op;

import isthmus.tensor.Shape;
import java.util.List;

/**
 * Soft Dice loss (Milletari et al. 2016) of the softmax, plus cross-entropy: logits {@code [N,C,...]} float32, class labels
 * {@code [N,...]} int32, negative for unknown. With p the softmax, t the label's one-hot form and sums over a sample's
 * positions: the mean over samples and classes of {@code 1 - (2 sum p t + smooth) / (sum p + sum t + smooth)}, plus the mean
 * of {@code -log p} at the labels; unknown positions contribute nothing. Results: the loss (scalar) and its gradient.
 *
 * @param includeBackground whether class 0 counts in the Dice part
 */
public record DiceCrossEntropy(float smooth, boolean includeBackground) implements Op {
    public DiceCrossEntropy {
        if (!(smooth > 0)) throw new IllegalArgumentException("dice_ce: smooth is " + smooth + ", not above 0");
    }

    @Override
    public String name() { return "dice_ce"; }

    @Override
    public List<Spec> infer(List<Spec> in) {
        Shape x = in.get(0).shape();
        CrossEntropy.checkLabels(name(), x, in.get(1).shape());
        ShapeException.require(includeBackground || x.dim(1) > 1, name(),
                "the logits " + x + " have no class but the background");
        return List.of(Spec.ofFloat(), new Spec(x, Kind.FLOAT));
    }

    @Override
    public void gradient(Backward b) { b.give(0, b.node().out(1)); }

    @Override
    public void reference(Reference r) {
        int n = r.inShape(0).dim(0);
        int classes = r.inShape(0).dim(1);
        int spatial = (int) r.inShape(0).elementsFrom(2);
        int known = 0;
        for (float label : r.in(1))
            if (label >= 0) known++;
        double[] p = new double[r.in(0).length];
        double loss = 0;
        for (int at = 0; at < n * spatial; at++) {
            int first = at / spatial * classes * spatial + at % spatial;
            CrossEntropy.softmax(r.in(0), first, spatial, classes, p);
            int label = (int) r.in(1)[at];
            if (label >= 0) loss -= Math.log(p[first + label * spatial]) / known;
        }
        double[] slope = new double[p.length];
        for (int i = includeBackground ? 0 : 1; i < n * classes; i++) {
            if (includeBackground || i % classes > 0)
                loss += dice(r.in(1), p, slope, i, classes, spatial) / (n * (classes - (includeBackground ? 0 : 1)));
        }
        int counted = n * (classes - (includeBackground ? 0 : 1));
        for (int at = 0; at < n * spatial; at++) {
            int first = at / spatial * classes * spatial + at % spatial;
            int label = (int) r.in(1)[at];
            double mean = 0;
            for (int c = 0; c < classes; c++)
                mean += p[first + c * spatial] * slope[first + c * spatial];
            for (int c = 0; c < classes && label >= 0; c++) {
                int i = first + c * spatial;
                r.out(1)[i] = (float) (p[i] * (slope[i] - mean) / counted + (p[i] - (c == label ? 1 : 0)) / known);
            }
        }
        r.out(0)[0] = (float) loss;
    }

    /** The Dice loss of sample and class {@code i}, whose derivative by every p is written to {@code slope}. */
    private double dice(float[] labels, double[] p, double[] slope, int i, int classes, int spatial) {
        double over = smooth;
        double all = smooth;
        int first = i / classes * spatial;
        for (int s = 0; s < spatial; s++) {
            if (labels[first + s] < 0) continue;
            boolean hit = labels[first + s] == i % classes;
            over += hit ? 2 * p[i * spatial + s] : 0;
            all += p[i * spatial + s] + (hit ? 1 : 0);
        }
        for (int s = 0; s < spatial; s++) {
            boolean hit = labels[first + s] == i % classes;
            slope[i * spatial + s] = labels[first + s] < 0 ? 0 : over / (all * all) - (hit ? 2 / all : 0);
        }
        return 1 - over / all;
    }
}
