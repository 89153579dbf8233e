package isthmus.train;

import isthmus.backend.Backend;
import isthmus.bindings.kernels.Kernels;
import isthmus.tensor.Region;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Remembers running statistics from before a step, which the forward pass moves before anyone knows of an overflow. */
final class StatisticsGuard {
    private final MemorySegment statistics;
    private final MemorySegment noted;

    StatisticsGuard(WeightBuffer weights, Backend backend, Arena arena) {
        this.statistics = weights.range(weights.table().range(Region.STATISTICS));
        this.noted = backend.allocate(statistics.byteSize(), arena);
    }

    void note() { Kernels.copy(statistics, noted, statistics.byteSize()); }

    void restore() { Kernels.copy(noted, statistics, statistics.byteSize()); }
}
