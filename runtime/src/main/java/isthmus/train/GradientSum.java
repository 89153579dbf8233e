package isthmus.train;

import isthmus.backend.Backend;
import isthmus.backend.WeightMath;
import isthmus.tensor.Region;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Adds up the gradients of several batches. */
final class GradientSum {
    private final WeightMath math;
    private final WeightBuffer sum;
    private final MemorySegment one;
    private final MemorySegment all;
    private final long n;
    private int batches;

    GradientSum(WeightBuffer gradients, Backend backend, Arena arena) {
        this.math = backend.math();
        this.sum = new WeightBuffer(gradients.table(), backend.allocate(gradients.table().bytes(), arena));
        var range = gradients.table().range(Region.TRAINABLE);
        this.one = gradients.range(range);
        this.all = sum.range(range);
        this.n = range.length();
    }

    WeightBuffer buffer() { return sum; }

    int batches() { return batches; }

    void clear() { batches = 0; }

    /** Adds the gradients as they are now. */
    void add() {
        if (batches++ == 0) math.copy(one, all, n);
        else
            math.axpy(1, one, all, n);
    }
}
