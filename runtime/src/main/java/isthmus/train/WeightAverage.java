package isthmus.train;

import isthmus.bindings.kernels.UpdateKernels;
import isthmus.tensor.WeightBuffer;
import isthmus.tensor.WeightTable;
import java.lang.foreign.MemorySegment;

/** Keeps an {@link Ema} of a weight buffer: of what travels, trainable weights and statistics; the rest is the same. */
final class WeightAverage {
    private final Ema ema;
    private final WeightBuffer weights;
    private final WeightBuffer average;
    private final MemorySegment moving;
    private final MemorySegment mean;
    private final long n;
    private long steps;

    /** Takes {@code memory}, as large as the weights. */
    WeightAverage(Ema ema, WeightBuffer weights, MemorySegment memory) {
        this.ema = ema;
        this.weights = weights;
        this.average = new WeightBuffer(weights.table(), memory);
        WeightTable.Range range = weights.table().exchanged();
        this.moving = weights.range(range);
        this.mean = average.range(range);
        this.n = range.length();
    }

    WeightBuffer average() { return average; }

    /** Begins anew with the weights as they are. */
    void begin() {
        steps = 0;
        average.copyFrom(weights);
    }

    /** The weights have changed by one step. */
    void step() {
        UpdateKernels.average(mean, moving, (float) (1 - ema.decay(++steps)), n);
    }
}
