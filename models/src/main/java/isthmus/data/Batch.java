package isthmus.data;

import java.lang.foreign.MemorySegment;

/**
 * One batch: off-heap views that the loader owns, valid until the next batch is asked for.
 */
public final class Batch {
    private final MemorySegment images;
    private final MemorySegment labels;
    private final int[] items;
    private int count;

    Batch(MemorySegment images, MemorySegment labels, int capacity) {
        this.images = images;
        this.labels = labels;
        items = new int[capacity];
    }

    /** Raw pictures, each {@link isthmus.tensor.RawPicture#bytes} long; zeros beyond {@link #count}. */
    public MemorySegment images() {
        return images;
    }

    /** float32 [batch, labels]: 1, 0 or -1 (unknown); -1 beyond {@link #count}. */
    public MemorySegment labels() {
        return labels;
    }

    /** Pictures in it; fewer than the batch size only in the last batch of a pass that keeps the rest. */
    public int count() {
        return count;
    }

    /** Which picture of the data set stands at a place below {@link #count}. */
    public int item(int place) {
        if (place < 0 || place >= count)
            throw new IndexOutOfBoundsException("place " + place + " of a batch of " + count);
        return items[place];
    }

    void set(int place, int item) { items[place] = item; }

    void count(int pictures) { count = pictures; }
}
