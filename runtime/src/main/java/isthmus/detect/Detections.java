package isthmus.detect;

import java.util.Arrays;

/**
 * Boxes found, with scores and classes: a list that is used again and again, and allocates only to grow. Of each box
 * {@code 2 axes} numbers: the low corner, then the high one, in voxels.
 */
public final class Detections {
    private final int axes;
    private int size;
    private float[] boxes = new float[0];
    private float[] scores = new float[0];
    private int[] classes = new int[0];

    /** An empty list of boxes with that many axes. */
    public Detections(int axes) { this.axes = axes; }

    /** Number of boxes. */
    public int size() { return size; }

    /** Number of axes. */
    public int axes() { return axes; }

    /** A corner's place along an axis. */
    public float corner(int i, boolean high, int axis) {
        return boxes[(2 * i + (high ? 1 : 0)) * axes + axis];
    }

    /** How sure the detector is, 0 to 1. */
    public float score(int i) { return scores[i]; }

    /** The kind of object. */
    public int kind(int i) { return classes[i]; }

    /** Overlap with a box: volume of the intersection over volume of the union. */
    public float overlap(int i, float[] box) {
        return Boxes.overlap(boxes, 2 * axes * i, box, 0, axes);
    }

    /** Forgets all. */
    public void clear() { size = 0; }

    /** Adds the box that stands in {@code box} from {@code at} on. */
    public void add(float[] box, int at, float score, int kind) {
        if (size == scores.length) {
            int room = Math.max(64, 2 * size);
            boxes = Arrays.copyOf(boxes, 2 * axes * room);
            scores = Arrays.copyOf(scores, room);
            classes = Arrays.copyOf(classes, room);
        }
        System.arraycopy(box, at, boxes, 2 * axes * size, 2 * axes);
        scores[size] = score;
        classes[size++] = kind;
    }

    /**
     * Non-maximum suppression: from the highest score down, a box stays unless one of its class that stays overlaps it by more
     * than {@code most}; at most {@code limit} stay. The list is in the order of scores then; of equal ones the earlier first.
     */
    public void suppress(float most, int limit) {
        sort();
        int kept = 0;
        for (int i = 0; i < size && kept < limit; i++) {
            boolean stays = true;
            for (int j = 0; j < kept && stays; j++)
                stays = classes[j] != classes[i]
                        || Boxes.overlap(boxes, 2 * axes * i, boxes, 2 * axes * j, axes) <= most;
            if (stays) move(i, kept++);
        }
        size = kept;
    }

    /** Stable, by merging; the second half of each array is the work space. */
    private void sort() {
        boxes = Arrays.copyOf(boxes, Math.max(boxes.length, 4 * axes * size));
        scores = Arrays.copyOf(scores, Math.max(scores.length, 2 * size));
        classes = Arrays.copyOf(classes, Math.max(classes.length, 2 * size));
        for (int width = 1; width < size; width *= 2) {
            for (int from = 0; from < size; from += 2 * width)
                merge(from, Math.min(from + width, size), Math.min(from + 2 * width, size));
            for (int i = 0; i < size; i++)
                move(size + i, i);
        }
    }

    private void merge(int from, int middle, int to) {
        int left = from;
        int right = middle;
        for (int i = from; i < to; i++) {
            boolean takeLeft = left < middle && (right == to || scores[left] >= scores[right]);
            move(takeLeft ? left++ : right++, size + i);
        }
    }

    private void move(int from, int to) {
        if (from == to) return;
        System.arraycopy(boxes, 2 * axes * from, boxes, 2 * axes * to, 2 * axes);
        scores[to] = scores[from];
        classes[to] = classes[from];
    }
}
