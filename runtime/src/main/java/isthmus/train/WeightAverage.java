package isthmus.train;

import isthmus.backend.Backend;
import isthmus.backend.DeviceUpdate;
import isthmus.tensor.WeightBuffer;
import isthmus.tensor.WeightTable;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Keeps an {@link Ema} of a weight buffer: of what travels, trainable weights and statistics; the rest is the same. */
final class WeightAverage {
    private final Ema ema;
    private final Backend backend;
    private final WeightBuffer weights;
    private final WeightBuffer average;
    private final MemorySegment moving;
    private final MemorySegment mean;
    private final long n;
    private long steps;

    WeightAverage(Ema ema, WeightBuffer weights, Backend backend, Arena arena) {
        this.ema = ema;
        this.backend = backend;
        this.weights = weights;
        this.average = new WeightBuffer(weights.table(), backend.allocate(weights.table().bytes(), arena));
        WeightTable.Range range = weights.table().exchanged();
        this.moving = weights.range(range);
        this.mean = average.range(range);
        this.n = range.length();
    }

    WeightBuffer average() {
        backend.toHost(average.segment());
        return average;
    }

    /** Steps since it began. */
    long steps() { return steps; }

    /** A device has made steps alone, as {@link #onDevice} told it. */
    void resume(long after) { steps = after; }

    /** The rule for a device that follows it alone. */
    DeviceUpdate.Average onDevice() {
        return new DeviceUpdate.Average(average, ema.decay(), ema.warmup());
    }

    /** Begins anew with the weights as they are. */
    void begin() {
        steps = 0;
        backend.math().copy(weights.segment(), average.segment(), weights.table().elements());
    }

    /** The weights have changed by one step. */
    void step() {
        backend.math().average(mean, moving, (float) (1 - ema.decay(++steps)), n);
    }
}
