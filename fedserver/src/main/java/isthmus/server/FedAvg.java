package isthmus.server;

import isthmus.tensor.HostMath;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.MemorySegment;

/**
 * Federated averaging: w + sum over sites of (n_k / n) * d_k, where d_k is a site's difference and n_k its samples
 * (McMahan et al., 2017, https://arxiv.org/abs/1602.05629).
 */
final class FedAvg implements Aggregator {
    @Override
    public void fold(Slots accepted, WeightBuffer global) {
        MemorySegment weights = global.range(global.table().exchanged());
        HostMath.fold(weights, accepted.differences(), accepted.shares(), weights, weights.byteSize() / Float.BYTES);
    }
}
