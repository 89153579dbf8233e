package isthmus.detect;

import java.util.Arrays;
import java.util.List;

/**
 * Windows that cover a volume, in a grid with an overlap; the last ones are pulled back to the volume's end (MONAI's sliding
 * window). Where the volume is shorter than a window, the window begins before it and the rest counts as zero.
 */
public final class SlidingWindow {
    private static final double LEAST_WEIGHT = 1e-3;

    private final int[] volume;
    private final int[] window;
    private final int[][] starts;
    private final int count;

    /**
     * Windows over a volume.
     *
     * @param overlap of neighbours, as a share of the window's length; 0 or more and below 1
     */
    public SlidingWindow(List<Integer> volume, List<Integer> window, double overlap) {
        if (volume.size() != window.size() || !(overlap >= 0 && overlap < 1)
                || volume.stream().anyMatch(n -> n < 1) || window.stream().anyMatch(n -> n < 1))
            throw new IllegalArgumentException("sliding window: volume " + volume + ", window " + window + ", overlap "
                    + overlap + " (0 or more, below 1)");
        this.volume = volume.stream().mapToInt(n -> n).toArray();
        this.window = window.stream().mapToInt(n -> n).toArray();
        this.starts = new int[window.size()][];
        int all = 1;
        for (int k = 0; k < starts.length; k++) {
            starts[k] = starts(this.volume[k], this.window[k], overlap);
            all *= starts[k].length;
        }
        this.count = all;
    }

    private static int[] starts(int volume, int window, double overlap) {
        if (volume <= window) return new int[]{-((window - volume) / 2)};
        int step = Math.max(1, (int) (window * (1 - overlap)));
        int[] starts = new int[Math.ceilDiv(volume - window, step) + 1];
        for (int i = 0; i < starts.length; i++)
            starts[i] = Math.min(i * step, volume - window);
        return starts;
    }

    /** Number of windows. */
    public int count() { return count; }

    /** Where a window begins along an axis; the last axis goes fastest. */
    public int start(int index, int axis) {
        for (int k = starts.length - 1; k > axis; k--)
            index /= starts[k].length;
        return starts[axis][index % starts[axis].length];
    }

    /**
     * How much a position of a window counts, row-major: a Gaussian around the middle with a deviation of an eighth of the
     * window's length, nowhere less than a thousandth.
     */
    public float[] gaussian() {
        float[] weights = {1};
        for (int length : window) {
            float[] next = new float[weights.length * length];
            for (int i = 0; i < next.length; i++) {
                double apart = i % length - (length - 1) / 2.0;
                double deviation = 0.125 * length;
                next[i] = (float) (weights[i / length] * Math.exp(apart * apart / (-2 * deviation * deviation)));
            }
            weights = next;
        }
        for (int i = 0; i < weights.length; i++)
            weights[i] = (float) Math.max(weights[i], LEAST_WEIGHT);
        return weights;
    }

    /** Lengths of the volume. */
    int[] volume() { return Arrays.copyOf(volume, volume.length); }

    /** Lengths of a window. */
    int[] window() { return Arrays.copyOf(window, window.length); }
}
