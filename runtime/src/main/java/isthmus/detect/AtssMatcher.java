package isthmus.detect;

import java.util.Arrays;

/**
 * Which anchors are to find which boxes: adaptive training sample selection (Zhang et al. 2020, arXiv 1912.02424) as MONAI's
 * ATSSMatcher. Of each level a box's candidates are the anchors nearest to its centre; those whose overlap with the box is
 * at least the mean plus the standard deviation of all candidates' are matched; an anchor that several boxes want goes to the
 * one that it overlaps most. Results stay in this object until the next call, which allocates nothing once its arrays have
 * grown to size.
 */
public final class AtssMatcher {
    private final Anchors anchors;
    private final int axes;
    private final int positions;
    private final boolean centreInBox;
    private final float[] box;
    private final float[] distance;
    private final int[] candidate;
    private final float[] overlap;
    private int candidates;
    private int matched;
    private int[] anchor = new int[64];
    private int[] target = new int[64];
    private float[] best = new float[64];

    /**
     * A matcher.
     *
     * @param positions candidates of a level are this many times the anchors of a position
     * @param centreInBox whether a matched anchor's centre must lie inside the box; too strict for small things
     */
    public AtssMatcher(Anchors anchors, int positions, boolean centreInBox) {
        if (positions < 1) throw new IllegalArgumentException("atss: " + positions + " candidates a level");
        this.anchors = anchors;
        this.axes = anchors.layout().axes();
        this.positions = positions;
        this.centreInBox = centreInBox;
        this.box = new float[2 * axes];
        int most = anchors.levels() * positions * anchors.layout().anchors();
        this.distance = new float[most];
        this.candidate = new int[most];
        this.overlap = new float[most];
    }

    /** Matches boxes and returns the number of matched anchors. */
    public int match(float[] boxes, int count) {
        Boxes.check("targets", boxes, count, axes);
        matched = 0;
        for (int b = 0; b < count; b++) {
            candidates = 0;
            for (int level = 0; level < anchors.levels(); level++)
                candidates += nearest(level, boxes, 2 * axes * b);
            take(boxes, b);
        }
        return matched;
    }

    /** The {@code i}-th matched anchor. */
    public int anchor(int i) { return anchor[i]; }

    /** The box that it is matched to. */
    public int box(int i) { return target[i]; }

    /** Adds a level's nearest anchors behind the candidates, by distance, then by number; returns how many. */
    private int nearest(int level, float[] boxes, int b) {
        int each = anchors.layout().anchors();
        int all = anchors.layout().positions(level);
        int most = Math.min(positions * each, all);
        int size = 0;
        int combinations = 1;
        for (int k = 0; k < axes; k++)
            combinations *= Math.min(2 * positions, anchors.length(level, k));
        for (int i = 0; i < combinations; i++) {
            int rest = i;
            int position = 0;
            int step = 1;
            float squares = 0;
            for (int k = axes - 1; k >= 0; k--) {
                int length = anchors.length(level, k);
                int width = Math.min(2 * positions, length);
                float centre = Boxes.centre(boxes, b, k, axes);
                int low = (int) Math.floor(centre / anchors.stride(level, k)) - positions + 1;
                int at = Math.clamp(low, 0, length - width) + rest % width;
                rest /= width;
                position += at * step;
                step *= length;
                float apart = centre - at * anchors.stride(level, k);
                squares += apart * apart;
            }
            for (int a = 0; a < each; a++)
                size = insert(size, most, (float) Math.sqrt(squares), anchors.first(level) + position * each + a);
        }
        return size;
    }

    /** Keeps the nearest {@code most}, sorted, behind the candidates of the levels before. */
    private int insert(int size, int most, float apart, int number) {
        int i = candidates + size;
        if (size == most) {
            if (!before(apart, number, i - 1)) return size;
            i--;
        }
        int end = i;
        for (; i > candidates && before(apart, number, i - 1); i--) {
            distance[i] = distance[i - 1];
            candidate[i] = candidate[i - 1];
        }
        distance[i] = apart;
        candidate[i] = number;
        return Math.max(size, end - candidates + 1);
    }

    private boolean before(float apart, int number, int i) {
        return apart < distance[i] || (apart == distance[i] && number < candidate[i]);
    }

    /** Gives a box those of its candidates that overlap it enough. */
    private void take(float[] boxes, int b) {
        double sum = 0;
        for (int i = 0; i < candidates; i++) {
            anchors.box(candidate[i], box, 0);
            overlap[i] = Boxes.overlap(boxes, 2 * axes * b, box, 0, axes);
            sum += overlap[i];
        }
        double mean = sum / candidates;
        double squares = 0;
        for (int i = 0; i < candidates; i++)
            squares += (overlap[i] - mean) * (overlap[i] - mean);
        // A single candidate has no deviation, and is taken.
        float least = candidates == 1 ? 0 : (float) (mean + Math.sqrt(squares / (candidates - 1)));
        for (int i = 0; i < candidates; i++)
            if (overlap[i] >= least && (!centreInBox || isInside(candidate[i], boxes, 2 * axes * b)))
                give(candidate[i], b, overlap[i]);
    }

    private boolean isInside(int number, float[] boxes, int b) {
        anchors.box(number, box, 0);
        for (int k = 0; k < axes; k++) {
            float centre = Boxes.centre(box, 0, k, axes);
            if (Math.min(centre - boxes[b + k], boxes[b + axes + k] - centre) <= 0.01f) return false;
        }
        return true;
    }

    private void give(int number, int b, float by) {
        for (int i = 0; i < matched; i++) {
            if (anchor[i] != number) continue;
            if (by > best[i]) {
                best[i] = by;
                target[i] = b;
            }
            return;
        }
        if (matched == anchor.length) {
            anchor = Arrays.copyOf(anchor, 2 * matched);
            target = Arrays.copyOf(target, 2 * matched);
            best = Arrays.copyOf(best, 2 * matched);
        }
        anchor[matched] = number;
        target[matched] = b;
        best[matched++] = by;
    }
}
