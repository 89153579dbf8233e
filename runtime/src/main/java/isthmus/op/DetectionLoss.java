package isthmus.op;

import isthmus.tensor.Shape;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The loss of an anchor-based detector on its joined maps, as MONAI trains RetinaNet: binary cross-entropy over some of the
 * matched anchors and the hardest of the others (hard negative sampling), plus smooth L1 over all matched anchors' box codes.
 * Inputs: maps {@code [N,length]} float32, and targets {@code [N, capacity * (2 + codes)]} float32: rows of a matched anchor's
 * number, its class and its box codes; a row with a negative number ends a sample. Results: the loss (scalar), its gradient.
 *
 * <p>With m matched anchors a sample, up to {@code samples * positiveFraction} of them are classified, drawn at random, and
 * {@code n = |1 - 1 / positiveFraction|} times as many others (but at least {@code leastNegatives}), drawn from the
 * {@code pool * n} others with the greatest logits. Means are over the whole batch.
 *
 * @param layout what lies where in the maps
 * @param capacity rows of targets a sample
 * @param beta where smooth L1 turns from quadratic to linear
 */
public record DetectionLoss(MapLayout layout, int capacity, Sampling sampling, double beta, double classWeight,
        double boxWeight) implements Op {
    /** Which anchors are classified in a step; see {@link DetectionLoss}. */
    public record Sampling(int samples, double positiveFraction, int leastNegatives, double pool) {
        public Sampling {
            if (samples < 1 || !(positiveFraction > 0 && positiveFraction <= 1) || leastNegatives < 0 || !(pool >= 1))
                throw new IllegalArgumentException("detection sampling: " + samples + " samples, positive fraction "
                        + positiveFraction + " (above 0, at most 1), at least " + leastNegatives + " negatives, pool "
                        + pool + " (at least 1)");
        }

        /** Most matched anchors of a sample that are classified. */
        public int mostPositives() {
            return (int) (samples * positiveFraction);
        }

        /** How many others are classified beside so many matched ones, where there are enough. */
        public int negatives(int positives) {
            return Math.max((int) (Math.max(1, positives) * Math.abs(1 - 1 / positiveFraction)), leastNegatives);
        }
    }

    /** What the draws are for, among the ops that draw; those of the graph count from 0. */
    private static final int ID = -1;

    public DetectionLoss {
        if (capacity < 1 || !(beta >= 0))
            throw new IllegalArgumentException("detection_loss: " + capacity + " rows of targets, beta " + beta);
    }

    /** Numbers of a row of targets. */
    public int rowLength() { return 2 + layout.codes(); }

    @Override
    public String name() { return "detection_loss"; }

    @Override
    public List<Spec> infer(List<Spec> in) {
        Shape x = in.get(0).shape();
        ShapeException.require(x.rank() == 2 && x.dim(1) == layout.length(), name(),
                "the maps are " + x + "; expected [N," + layout.length() + "] for " + layout);
        ShapeException.same(name(), in.get(1).shape(), Shape.of(x.dim(0), capacity * rowLength()));
        return List.of(Spec.ofFloat(), new Spec(x, Kind.FLOAT));
    }

    @Override
    public void gradient(Backward b) { b.give(0, b.node().out(1)); }

    @Override
    public void reference(Reference r) {
        int n = r.inShape(0).dim(0);
        List<Sample> samples = new ArrayList<>();
        for (int i = 0; i < n; i++)
            samples.add(choose(r, i));
        int chosen = samples.stream().mapToInt(s -> s.labels.size()).sum();
        int matched = samples.stream().mapToInt(s -> s.rows.size()).sum();
        double loss = 0;
        for (int i = 0; i < n; i++) {
            for (Map.Entry<Integer, Integer> e : samples.get(i).labels.entrySet())
                loss += classify(r, i, e.getKey(), e.getValue(), classWeight / ((double) chosen * layout.classes()));
            for (int row : samples.get(i).rows)
                loss += regress(r, i, row, boxWeight / ((double) matched * layout.codes()));
        }
        r.out(0)[0] = (float) loss;
    }

    /** A sample's rows of targets, and the chosen anchors with their class, -1 for none. */
    private record Sample(List<Integer> rows, Map<Integer, Integer> labels) {}

    private Sample choose(Reference r, int sample) {
        List<Integer> rows = new ArrayList<>();
        Map<Integer, Integer> classes = new HashMap<>();
        List<Integer> positives = new ArrayList<>();
        for (int k = 0; k < capacity; k++) {
            int at = (sample * capacity + k) * rowLength();
            if (r.in(1)[at] < 0) break;
            rows.add(at);
            positives.add((int) r.in(1)[at]);
            classes.put((int) r.in(1)[at], (int) r.in(1)[at + 1]);
        }
        Map<Integer, Integer> labels = new HashMap<>();
        int count = Math.min(positives.size(), sampling.mostPositives());
        for (int anchor : draw(r, positives, count, (long) sample << 32))
            labels.put(anchor, classes.get(anchor));
        List<Integer> others = new ArrayList<>();
        for (int anchor = 0; anchor < layout.total(); anchor++)
            if (!classes.containsKey(anchor)) others.add(anchor);
        int negatives = Math.min(others.size(), sampling.negatives(count));
        int pool = Math.min(others.size(), (int) (negatives * sampling.pool));
        others.sort(Comparator.comparingDouble((Integer a) -> -score(r, sample, a)).thenComparing(a -> a));
        for (int anchor : draw(r, new ArrayList<>(others.subList(0, pool)), negatives,
                ((long) sample << 32) + (1L << 31)))
            labels.put(anchor, -1);
        return new Sample(rows, labels);
    }

    /** The greatest class logit. */
    private double score(Reference r, int sample, int anchor) {
        double score = Double.NEGATIVE_INFINITY;
        int at = sample * layout.length() + layout.classAt(anchor);
        for (int k = 0; k < layout.classes(); k++)
            score = Math.max(score, r.in(0)[at + k * step(anchor)]);
        return score;
    }

    private int step(int anchor) { return layout.positions(layout.level(anchor)); }

    /** Some of the values, by exchanges from the front (Fisher and Yates). */
    private static List<Integer> draw(Reference r, List<Integer> values, int count, long first) {
        for (int i = 0; i < count; i++) {
            float u = Dropout.uniform(r.seed(), r.step(), ID, first + i);
            java.util.Collections.swap(values, i, i + (int) ((double) u * (values.size() - i)));
        }
        return values.subList(0, count);
    }

    private double classify(Reference r, int sample, int anchor, int label, double share) {
        double sum = 0;
        for (int k = 0; k < layout.classes(); k++) {
            int at = sample * layout.length() + layout.classAt(anchor) + k * step(anchor);
            double x = r.in(0)[at];
            double y = k == label ? 1 : 0;
            sum += Math.max(x, 0) - x * y + Math.log1p(Math.exp(-Math.abs(x)));
            r.out(1)[at] += (float) (share * (1 / (1 + Math.exp(-x)) - y));
        }
        return sum * share;
    }

    private double regress(Reference r, int sample, int row, double share) {
        int anchor = (int) r.in(1)[row];
        double sum = 0;
        for (int j = 0; j < layout.codes(); j++) {
            int at = sample * layout.length() + layout.codeAt(anchor) + j * step(anchor);
            double d = (double) r.in(0)[at] - r.in(1)[row + 2 + j];
            boolean near = Math.abs(d) < beta;
            sum += near ? d * d / (2 * beta) : Math.abs(d) - beta / 2;
            r.out(1)[at] += (float) (share * (near ? d / beta : Math.signum(d)));
        }
        return sum * share;
    }
}
