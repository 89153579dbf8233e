package isthmus.detect;

import java.util.List;

/**
 * The shapes of anchors: the same at every level, times the level's scale.
 *
 * @param shapes lengths along each axis, in voxels
 * @param scales one factor a level
 */
public record AnchorShapes(List<List<Integer>> shapes, List<Integer> scales) {
    public AnchorShapes {
        shapes = shapes.stream().map(List::copyOf).toList();
        scales = List.copyOf(scales);
        int axes = shapes.isEmpty() ? 0 : shapes.getFirst().size();
        boolean positive = shapes.stream().flatMap(List::stream).allMatch(n -> n > 0)
                && scales.stream().allMatch(n -> n > 0);
        if (axes == 0 || !positive || scales.isEmpty() || shapes.stream().anyMatch(s -> s.size() != axes))
            throw new IllegalArgumentException("anchors: shapes " + shapes + ", scales " + scales
                    + "; shapes are lists of one positive length an axis, scales are positive, one a level");
    }

    /** Lung nodules of the LUNA16 challenge, as in MONAI's bundle {@code lung_nodule_ct_detection}. */
    public static final AnchorShapes LUNA16 = new AnchorShapes(
            List.of(List.of(6, 8, 4), List.of(8, 6, 5), List.of(10, 10, 6)), List.of(1, 2, 4));
}
