package isthmus.train;

import isthmus.backend.Backend;
import isthmus.backend.WeightMath;
import isthmus.tensor.Region;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Remembers running statistics from before a step, which the forward pass moves before anyone knows of an overflow. */
final class StatisticsGuard {
    private final WeightMath math;
    private final MemorySegment statistics;
    private final MemorySegment noted;

    StatisticsGuard(WeightBuffer weights, Backend backend, Arena arena) {
        this.math = backend.math();
        this.statistics = weights.range(weights.table().range(Region.STATISTICS));
        this.noted = backend.allocate(statistics.byteSize(), arena);
    }

    void note() { math.copy(statistics, noted, statistics.byteSize() / Float.BYTES); }

    void restore() { math.copy(noted, statistics, statistics.byteSize() / Float.BYTES); }
}
