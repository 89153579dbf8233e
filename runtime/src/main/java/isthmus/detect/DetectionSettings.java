package isthmus.detect;

import isthmus.op.DetectionLoss;
import java.util.List;

/**
 * All that a detector is beside its network.
 *
 * @param candidates of each level, positions nearest to a box whose anchors may be matched to it
 * @param centreInBox whether a matched anchor's centre must lie inside the box
 * @param sampling which anchors are classified in a training step
 * @param beta where the boxes' smooth L1 turns from quadratic to linear
 * @param mostBoxes that a training image may have
 */
public record DetectionSettings(AnchorShapes anchors, int candidates, boolean centreInBox, BoxCoder coder,
        DetectionLoss.Sampling sampling, double beta, double classWeight, double boxWeight, BoxSelection selection,
        int mostBoxes) {
    /**
     * Lung nodules of the LUNA16 challenge, as MONAI's bundle {@code lung_nodule_ct_detection} trains and finds them
     * (github.com/Project-MONAI/model-zoo, configs/train.json): ATSS with 4 candidates, 64 anchors an image of which 30 % are
     * positive, hard negatives from a pool of 20 times as many, at least 16; smooth L1 with beta 1/9.
     */
    public static final DetectionSettings LUNA16 = new DetectionSettings(AnchorShapes.LUNA16, 4, false,
            BoxCoder.plain(3), new DetectionLoss.Sampling(64, 0.3, 16, 20), 1.0 / 9, 1, 1, BoxSelection.LUNA16, 32);

    public DetectionSettings {
        if (mostBoxes < 1 || candidates < 1)
            throw new IllegalArgumentException(
                    "detection: " + mostBoxes + " boxes an image, " + candidates + " candidates");
    }

    /** The same with other anchors. */
    public DetectionSettings with(List<List<Integer>> shapes, List<Integer> scales) {
        return new DetectionSettings(new AnchorShapes(shapes, scales), candidates, centreInBox, coder, sampling, beta,
                classWeight, boxWeight, selection, mostBoxes);
    }
}
