package isthmus.backend;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * Batches on their way to a device, while it works on the one before: the host writes a batch to memory of the feed, which
 * copies it; two batches may be on their way. For each batch: {@link #slot}, write, {@link #send}, {@link #arrive}.
 */
public interface Feed {
    /** Where the host writes the next batch's part {@code i}; waits until that memory is free. */
    MemorySegment slot(int i);

    /** The next batch is written. */
    void send();

    /** All work that is asked for from now on finds the oldest batch that was sent in {@code inputs}, or as much as they hold. */
    void arrive(List<MemorySegment> inputs);
}
