package isthmus.detect;

import isthmus.op.MapLayout;
import java.util.List;

/**
 * The anchors of images of one shape: at each position of each level's map the same shapes, around the place in the image that
 * lies a whole number of strides from the origin (MONAI's AnchorGeneratorWithAnchorShape). Boxes are computed when asked for.
 */
public final class Anchors {
    private final MapLayout layout;
    private final List<Integer> image;
    private final int axes;
    private final int[] first;
    private final int[][] lengths;
    private final int[][] strides;
    private final float[][] halves;

    /**
     * Anchors for maps.
     *
     * @param image lengths of the image's spatial axes
     */
    public Anchors(MapLayout layout, List<Integer> image, AnchorShapes shapes) {
        this.layout = layout;
        this.image = List.copyOf(image);
        this.axes = layout.axes();
        int levels = layout.levels().size();
        if (shapes.scales().size() != levels || shapes.shapes().size() != layout.anchors()
                || shapes.shapes().getFirst().size() != axes || image.size() != axes)
            throw new IllegalArgumentException("anchors: " + shapes + " and images of " + image + " do not fit maps of "
                    + levels + " levels, " + layout.anchors() + " anchors a position and " + axes + " axes");
        this.first = new int[levels + 1];
        this.lengths = new int[levels][];
        this.strides = new int[levels][];
        this.halves = new float[levels][];
        for (int l = 0; l < levels; l++) {
            first[l + 1] = layout.firstAnchor(l + 1);
            lengths[l] = layout.levels().get(l).stream().mapToInt(Integer::intValue).toArray();
            strides[l] = new int[axes];
            for (int k = 0; k < axes; k++)
                strides[l][k] = image.get(k) / lengths[l][k];
            halves[l] = halves(shapes, shapes.scales().get(l));
        }
    }

    /** Half of each shape, rounded to even, so that corners are whole voxels. */
    private float[] halves(AnchorShapes shapes, int scale) {
        float[] half = new float[layout.anchors() * axes];
        for (int a = 0; a < layout.anchors(); a++)
            for (int k = 0; k < axes; k++)
                half[a * axes + k] = (float) Math.rint(shapes.shapes().get(a).get(k) * scale / 2.0);
        return half;
    }

    /** What lies where in the maps. */
    public MapLayout layout() { return layout; }

    /** Lengths of the image's spatial axes. */
    public List<Integer> image() { return image; }

    /** Number of all anchors. */
    public int count() { return first[first.length - 1]; }

    int levels() { return lengths.length; }

    /** Number of positions of a level along an axis. */
    int length(int level, int axis) { return lengths[level][axis]; }

    /** Voxels between positions of a level along an axis. */
    int stride(int level, int axis) {
        return strides[level][axis];
    }

    int first(int level) { return first[level]; }

    /** Writes an anchor's box to {@code to} from {@code at} on. */
    public void box(int anchor, float[] to, int at) {
        int level = 0;
        while (anchor >= first[level + 1])
            level++;
        int position = (anchor - first[level]) / layout.anchors();
        int shape = (anchor - first[level]) % layout.anchors();
        for (int k = axes - 1; k >= 0; k--) {
            int centre = position % lengths[level][k] * strides[level][k];
            position /= lengths[level][k];
            float half = halves[level][shape * axes + k];
            to[at + k] = centre - half;
            to[at + axes + k] = centre + half;
        }
    }
}
