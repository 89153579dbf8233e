package isthmus.server;

import isthmus.tensor.WeightBuffer;
import isthmus.wire.RefusalException;
import java.util.Map;

/**
 * FedProx: sites add (mu / 2) * |w - w_global|^2 to their loss, so that uneven data pull them less far apart; the server
 * folds as {@link FedAvg} (Li et al., 2020, https://arxiv.org/abs/1812.06127).
 */
final class FedProx implements Aggregator {
    private final FedAvg average = new FedAvg();
    private final double mu;

    FedProx(double mu) {
        if (!(mu >= 0) || Double.isInfinite(mu))
            throw RefusalException.bad("bad_aggregator", "mu is " + mu, "job, aggregator", "write a number from 0 on");
        this.mu = mu;
    }

    @Override
    public void fold(Slots accepted, WeightBuffer global) { average.fold(accepted, global); }

    @Override
    public Map<String, Double> task() { return Map.of("mu", mu); }
}
