package isthmus.server;

import isthmus.tensor.WeightBuffer;
import java.util.Map;

/** A rule that makes the next global model out of a round's updates. One rule is one file and one line in {@link Aggregators}. */
public interface Aggregator {
    /**
     * Folds a round's updates into the global weights, in place. Runs on a worker thread. The same slots must give the
     * same bits: take them in their order, and sum in float64.
     *
     * @param accepted verified updates in the order of their sites' names
     * @param global float32 weights of the round's start; on return those of its end
     */
    void fold(Slots accepted, WeightBuffer global);

    /** What the rule adds to every training task; nothing by default. */
    default Map<String, Double> task() {
        return Map.of();
    }
}
