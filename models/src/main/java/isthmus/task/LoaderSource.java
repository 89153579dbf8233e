package isthmus.task;

import isthmus.data.Batch;
import isthmus.data.BatchLoader;
import isthmus.data.Preprocess;
import isthmus.nn.Model;
import isthmus.op.WarpAffine;
import isthmus.train.BatchSource;
import java.lang.foreign.MemorySegment;
import java.util.Iterator;
import java.util.List;

/** A loader's batches as the trainer takes them, one epoch at a time. */
public final class LoaderSource implements BatchSource {
    private final BatchLoader loader;
    private Iterator<Batch> epoch;

    /** Takes what the loader makes; the loader stays the caller's to close. */
    public LoaderSource(BatchLoader loader) {
        this.loader = loader;
    }

    /** A model that takes the raw pictures of such a loader, and makes of them what {@code preprocess} says. */
    public static Model fed(Model model, Preprocess preprocess) {
        List<Float> mean = preprocess.mean().stream().map(Double::floatValue).toList();
        List<Float> scale = preprocess.std().stream().map(std -> (float) (1 / std)).toList();
        return model.fed(new WarpAffine(preprocess.raw(), preprocess.size(), mean, scale));
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
