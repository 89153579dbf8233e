package isthmus.task;

import isthmus.data.Batch;
import isthmus.data.BatchLoader;
import isthmus.train.BatchSource;
import java.lang.foreign.MemorySegment;
import java.util.Iterator;

/** A loader's batches as the trainer takes them, one epoch at a time. */
public final class LoaderSource implements BatchSource {
    private final BatchLoader loader;
    private Iterator<Batch> epoch;

    /** Takes what the loader makes; the loader stays the caller's to close. */
    public LoaderSource(BatchLoader loader) {
        this.loader = loader;
    }

    /** Begins an epoch. */
    public LoaderSource epoch(long number) {
        epoch = loader.epoch(number).iterator();
        return this;
    }

    @Override
    public int batchSize() { return loader.batchSize(); }

    @Override
    public int batches() { return loader.batches(); }

    @Override
    public int lastBatch() { return loader.lastBatch(); }

    @Override
    public int next(MemorySegment images, MemorySegment labels) {
        Batch b = epoch.next();
        images.copyFrom(b.images());
        labels.copyFrom(b.labels());
        return b.count();
    }
}
