package isthmus.detect;

import java.util.List;

/**
 * Boxes as codes relative to anchors (Girshick et al. 2014; MONAI's BoxCoder): for each axis
 * {@code weight (centre - anchor's centre) / anchor's length}, then for each axis {@code weight log(length / anchor's length)}.
 *
 * @param weights one factor a code; 1 leaves it
 */
public record BoxCoder(List<Double> weights) {
    /** Codes of lengths above this are held: no box is more than 62.5 times as long as its anchor. */
    private static final float MOST = (float) Math.log(1000.0 / 16);

    public BoxCoder {
        weights = List.copyOf(weights);
        if (weights.isEmpty() || weights.size() % 2 != 0 || weights.stream().anyMatch(w -> !(w > 0)))
            throw new IllegalArgumentException(
                    "box coder: weights " + weights + "; expected two positive ones an axis");
    }

    /** All weights 1. */
    public static BoxCoder plain(int axes) {
        return new BoxCoder(java.util.Collections.nCopies(2 * axes, 1.0));
    }

    private int axes() { return weights.size() / 2; }

    /** Writes the codes of the box at {@code i} for the anchor at {@code j}. */
    public void encode(float[] boxes, int i, float[] anchors, int j, float[] codes, int at) {
        int axes = axes();
        for (int k = 0; k < axes; k++) {
            float length = anchors[j + axes + k] - anchors[j + k];
            float apart = Boxes.centre(boxes, i, k, axes) - Boxes.centre(anchors, j, k, axes);
            codes[at + k] = (float) (weights.get(k) * apart / length);
            codes[at + axes + k] = (float) (weights.get(axes + k)
                    * Math.log((boxes[i + axes + k] - boxes[i + k]) / length));
        }
    }

    /** Writes the box that the codes at {@code i} are for the anchor at {@code j}. */
    public void decode(float[] codes, int i, float[] anchors, int j, float[] boxes, int at) {
        int axes = axes();
        for (int k = 0; k < axes; k++) {
            float length = anchors[j + axes + k] - anchors[j + k];
            float centre = (float) (codes[i + k] / weights.get(k)) * length + Boxes.centre(anchors, j, k, axes);
            float growth = Math.min((float) (codes[i + axes + k] / weights.get(axes + k)), MOST);
            float half = 0.5f * ((float) Math.exp(growth) * length);
            boxes[at + k] = centre - half;
            boxes[at + axes + k] = centre + half;
        }
    }
}
