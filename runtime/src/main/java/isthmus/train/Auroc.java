package isthmus.train;

import java.util.Arrays;
import java.util.Comparator;
import java.util.OptionalDouble;
import java.util.stream.IntStream;

/**
 * Area under the receiver operating characteristic: the chance that a positive scores above a negative, ties counted half
 * (the Mann-Whitney statistic; Hanley and McNeil 1982).
 */
public final class Auroc {
    private Auroc() {}

    /**
     * The area, or nothing where only one class is known.
     *
     * @param scores higher means more likely positive; must not be NaN
     * @param labels 1, 0, or negative for unknown (left out)
     */
    public static OptionalDouble of(float[] scores, float[] labels) {
        if (scores.length != labels.length)
            throw new IllegalArgumentException("auroc: " + scores.length + " scores, " + labels.length + " labels");
        for (float s : scores)
            if (Float.isNaN(s)) throw new IllegalArgumentException("auroc: a score is NaN; the model has diverged");
        Integer[] order = IntStream.range(0, scores.length).filter(i -> labels[i] >= 0).boxed().toArray(Integer[]::new);
        Arrays.sort(order, Comparator.comparingDouble(i -> scores[i]));
        double ranks = 0;
        long positives = 0;
        for (int i = 0; i < order.length;) {
            int end = i;
            while (end < order.length && scores[order[end]] == scores[order[i]])
                end++;
            double rank = (i + 1 + end) / 2.0;
            for (; i < end; i++) {
                if (labels[order[i]] < 0.5f) continue;
                ranks += rank;
                positives++;
            }
        }
        long negatives = order.length - positives;
        if (positives == 0 || negatives == 0) return OptionalDouble.empty();
        return OptionalDouble.of((ranks - positives * (positives + 1) / 2.0) / ((double) positives * negatives));
    }
}
