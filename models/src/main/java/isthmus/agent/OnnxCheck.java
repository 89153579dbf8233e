package isthmus.agent;

import isthmus.data.ImageDataset;
import isthmus.onnx.OnnxFacts;
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
    private double maxRelativeDifference;
    private double maxProbabilityDifference;
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
            double logit = expected[firstRow * labels + i];
            double off = Math.abs(logits.getAtIndex(ValueLayout.JAVA_FLOAT, i) - logit);
            maxAbsDifference = worse(maxAbsDifference, off);
            maxRelativeDifference = worse(maxRelativeDifference, off / Math.max(1, Math.abs(logit)));
            double p = probabilities.getAtIndex(ValueLayout.JAVA_FLOAT, i);
            maxProbabilityDifference = worse(maxProbabilityDifference,
                    Math.abs(p - probability(expected, firstRow + i / labels, i % labels)));
        }
        images += count;
    }

    /** What the file's decision makes of expected logits: a sigmoid each, or a softmax over the row. */
    private double probability(float[] expected, int row, int label) {
        double logit = expected[row * labels + label];
        if (agent.card().decision() == OnnxFacts.Decision.SIGMOID) return 1 / (1 + Math.exp(-logit));
        double sum = 0;
        for (int i = 0; i < labels; i++)
            sum += Math.exp(expected[row * labels + i] - logit);
        return 1 / sum;
    }

    /** A NaN agrees with nothing. */
    private static double worse(double so, double off) {
        return Double.isNaN(off) ? Double.POSITIVE_INFINITY : Math.max(so, off);
    }

    /** Runs and compares all pictures of a data set, in its order; {@code logits}, row after row. */
    public static OnnxCheck of(ImagingAgent agent, ImageDataset data, int batch, float[] logits) {
        long bytes = (long) data.preprocess().elements() * Float.BYTES;
        try (OnnxCheck check = new OnnxCheck(agent, batch); Arena arena = Arena.ofConfined()) {
            MemorySegment pictures = arena.allocate(batch * bytes, 64);
            for (int first = 0; first < data.size(); first += batch) {
                int count = Math.min(batch, data.size() - first);
                for (int i = 0; i < count; i++)
                    data.preprocessed(first + i, pictures, i * bytes);
                check.compare(pictures, count, logits, first);
            }
            return check;
        }
    }

    /** The largest difference so far; infinite if a value was no number. */
    public double maxAbsDifference() {
        return maxAbsDifference;
    }

    /** As {@link #maxAbsDifference}, but as a share of the logit where that is beyond 1. */
    public double maxRelativeDifference() {
        return maxRelativeDifference;
    }

    /** The largest difference of a probability. */
    public double maxProbabilityDifference() {
        return maxProbabilityDifference;
    }

    /** Pictures compared so far. */
    public long images() { return images; }

    @Override
    public void close() { arena.close(); }
}
