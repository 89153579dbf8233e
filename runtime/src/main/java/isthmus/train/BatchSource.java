package isthmus.train;

import java.lang.foreign.MemorySegment;

/** Where batches come from: one pass over the data at a time. */
public interface BatchSource {
    /** Samples in a full batch. */
    int batchSize();

    /** Batches in a pass. */
    int batches();

    /** Samples in the last batch of a pass: a full batch, or what is left. */
    default int lastBatch() {
        return batchSize();
    }

    /**
     * Whether every batch is the one that lies in {@link Trainer#images()} and {@link Trainer#labels()} already, as for measuring a
     * step alone: {@link #next} writes nothing and no copy is made.
     */
    default boolean stays() { return false; }

    /**
     * Writes the next batch.
     *
     * @param images as the model is fed: float32, channels-last, or raw; room for a full batch
     * @param labels the loss's labels, room for a full batch
     * @return how many samples are real; fewer than a full batch only at the end of a pass
     */
    int next(MemorySegment images, MemorySegment labels);
}
