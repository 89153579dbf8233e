package isthmus.train;

import isthmus.nn.Seeds;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Batches of noise, for looking at a network without data: standard normal images, and labels by chance that the loss takes.
 *
 * @param batch samples a batch
 * @param classes labels are class numbers below this (int32); 0 for yes-or-no labels (float32)
 */
public record SyntheticBatch(int batch, int classes, long seed) implements BatchSource {
    /** For a loss over so many outputs. */
    public static SyntheticBatch of(Loss loss, int batch, int classes, long seed) {
        boolean numbers = loss instanceof Loss.SoftmaxCrossEntropy || loss instanceof Loss.DiceCrossEntropy;
        return new SyntheticBatch(batch, numbers ? classes : 0, seed);
    }

    @Override
    public int batchSize() { return batch; }

    @Override
    public int batches() { return 1; }

    @Override
    public int next(MemorySegment images, MemorySegment labels) {
        long key = Seeds.key(seed, "synthetic images");
        for (long i = 0; i < images.byteSize() / Float.BYTES; i++)
            images.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) Seeds.normal(key, i));
        long choice = Seeds.key(seed, "synthetic labels");
        for (long i = 0; i < labels.byteSize() / 4; i++) {
            float u = Seeds.uniform(choice, i);
            if (classes > 0) labels.setAtIndex(ValueLayout.JAVA_INT, i, (int) (u * classes));
            else
                labels.setAtIndex(ValueLayout.JAVA_FLOAT, i, Math.round(u));
        }
        return batch;
    }
}
