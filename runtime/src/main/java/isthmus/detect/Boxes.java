package isthmus.detect;

/** What is computed of boxes: {@code 2 axes} numbers each, the low corner, then the high one. */
final class Boxes {
    /** Keeps empty boxes from dividing by zero: float32's distance between 1 and the next number. */
    private static final float EPSILON = Math.ulp(1f);

    private Boxes() {}

    /** Volume of the intersection over volume of the union, of the box at {@code i} of a and the one at {@code j} of b. */
    static float overlap(float[] a, int i, float[] b, int j, int axes) {
        float first = 1;
        float second = 1;
        float common = 1;
        for (int k = 0; k < axes; k++) {
            first *= a[i + axes + k] - a[i + k];
            second *= b[j + axes + k] - b[j + k];
            float low = Math.max(a[i + k], b[j + k]);
            float high = Math.min(a[i + axes + k], b[j + axes + k]);
            common *= Math.max(high - low, 0);
        }
        return common / (first + second - common + EPSILON);
    }

    /** The middle along one axis. */
    static float centre(float[] box, int i, int axis, int axes) {
        return (box[i + axis] + box[i + axes + axis]) / 2;
    }

    /** Throws unless every box has a length along every axis; what: whose boxes they are. */
    static void check(String what, float[] boxes, int count, int axes) {
        for (int i = 0; i < count; i++) {
            for (int k = 0; k < axes; k++) {
                float low = boxes[(2 * i) * axes + k];
                float high = boxes[(2 * i + 1) * axes + k];
                if (!(high > low) || !Float.isFinite(high - low))
                    throw new IllegalArgumentException(what + ": box " + i + " reaches from " + low + " to " + high
                            + " along axis " + k + "; the high corner must lie above the low one");
            }
        }
    }
}
