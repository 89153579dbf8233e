package isthmus.train;

import isthmus.graph.MemoryException;
import java.util.Locale;
import java.util.function.IntToLongFunction;

/** What to say of a batch that does not fit into memory: what it needs, what is free, and the largest one that fits. */
final class BatchLimit {
    private final IntToLongFunction need;
    private final long free;

    /**
     * A limit.
     *
     * @param need bytes that a step with so many samples takes in all; grows with the batch
     * @param free bytes that there are
     */
    BatchLimit(IntToLongFunction need, long free) {
        this.need = need;
        this.free = free;
    }

    /** The largest batch that fits, 0 if none does, given that {@code tooLarge} does not and needs {@code needed} bytes. */
    int largest(int tooLarge, long needed) {
        int fits = 0;
        long low = 0;
        int over = tooLarge;
        long high = needed;
        // The need is nearly a straight line in the batch, so guesses on the line find the end in a few plans.
        while (over - fits > 1) {
            double guess = fits + (over - fits) * ((double) (free - low) / (high - low));
            int batch = (int) Math.clamp((long) guess, fits + 1L, over - 1L);
            long bytes = need.applyAsLong(batch);
            if (bytes <= free) {
                fits = batch;
                low = bytes;
            } else {
                over = batch;
                high = bytes;
            }
        }
        return fits;
    }

    /** The refusal of a batch. */
    MemoryException refusal(String what, int batch, long needed) {
        int fits = largest(batch, needed);
        String cure = fits == 0
                ? "not even one sample fits: use smaller images, or free memory"
                : String.format(Locale.ROOT, "the largest batch that fits is %d", fits);
        return new MemoryException(String.format(Locale.ROOT, "%s, batch %d: a training step", what, batch), needed,
                free, cure);
    }
}
