package isthmus.train;

import isthmus.nn.Seeds;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Made-up pictures and labels in a fixed order, as batches of any size. */
final class MadeUp implements BatchSource {
    private final int samples;
    private final int batch;
    private final long key;
    private int next;

    MadeUp(int samples, int batch) {
        this.samples = samples;
        this.batch = batch;
        this.key = Seeds.key(3, "made up");
    }

    @Override
    public int batchSize() { return batch; }

    @Override
    public int batches() { return (samples + batch - 1) / batch; }

    @Override
    public int lastBatch() { return samples - (batches() - 1) * batch; }

    @Override
    public int next(MemorySegment images, MemorySegment labels) {
        int from = next % batches() * batch;
        next++;
        int n = Math.min(batch, samples - from);
        put(images, n, from, 1.5f, false);
        put(labels, n, from, 1, true);
        return n;
    }

    private void put(MemorySegment to, int n, int from, float scale, boolean bits) {
        long each = to.byteSize() / Float.BYTES / batch;
        for (long i = 0; i < n * each; i++) {
            float u = Seeds.uniform(key + (bits ? 1 : 0), from * each + i);
            to.setAtIndex(ValueLayout.JAVA_FLOAT, i, bits ? Math.round(u) : scale * (2 * u - 1));
        }
    }

    static float[] floats(WeightBuffer w) { return w.segment().toArray(ValueLayout.JAVA_FLOAT); }

    /** Distance over length, both Euclidean. */
    static double relative(float[] got, float[] expected) {
        double distance = 0;
        double length = 0;
        for (int i = 0; i < got.length; i++) {
            distance += Math.pow((double) got[i] - expected[i], 2);
            length += Math.pow(expected[i], 2);
        }
        return Math.sqrt(distance / length);
    }
}
