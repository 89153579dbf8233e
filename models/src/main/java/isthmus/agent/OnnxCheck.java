package isthmus.agent;

import isthmus.data.Batch;
import isthmus.data.BatchLoader;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Compares an exported model's logits with those that the trainer's own engine gave for the same pictures. */
public final class OnnxCheck implements AutoCloseable {
    private final ImagingAgent agent;
    private final int labels;
    private final int capacity;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment logits;
    private final MemorySegment probabilities;
    private double maxAbsDifference;
    private long images;

    /** A check in batches of at most {@code capacity} pictures. */
    public OnnxCheck(ImagingAgent agent, int capacity) {
        this.agent = agent;
        this.capacity = capacity;
        this.labels = agent.card().labels().size();
        this.logits = arena.allocate((long) capacity * labels * Float.BYTES, 64);
        this.probabilities = arena.allocate((long) capacity * labels * Float.BYTES, 64);
    }

    /**
     * Runs pictures and compares.
     *
     * @param channelsLast preprocessed, float32 {@code [count,H,W,C]}, off the heap
     * @param expected logits, row after row
     * @param firstRow the row of the first picture
     */
    public void compare(MemorySegment channelsLast, int count, float[] expected, int firstRow) {
        if (count > capacity)
            throw new AgentException("a batch of " + count + ", more than the " + capacity + " planned");
        agent.inferChannelsLast(channelsLast, count, logits, probabilities);
        for (int i = 0; i < count * labels; i++) {
            double off = Math
                    .abs((double) logits.getAtIndex(ValueLayout.JAVA_FLOAT, i) - expected[firstRow * labels + i]);
            // A NaN agrees with nothing.
            maxAbsDifference = Double.isNaN(off) ? Double.POSITIVE_INFINITY : Math.max(maxAbsDifference, off);
        }
        images += count;
    }

    /** The largest difference over all pictures of a loader that gives them in order; {@code logits}, row after row. */
    public static double maxAbsDifference(ImagingAgent agent, BatchLoader loader, float[] logits) {
        try (OnnxCheck check = new OnnxCheck(agent, loader.batchSize())) {
            for (Batch batch : loader.epoch(0))
                check.compare(batch.images(), batch.count(), logits, Math.toIntExact(check.images));
            return check.maxAbsDifference;
        }
    }

    /** The largest difference so far; infinite if a value was no number. */
    public double maxAbsDifference() {
        return maxAbsDifference;
    }

    /** Pictures compared so far. */
    public long images() { return images; }

    @Override
    public void close() { arena.close(); }
}
