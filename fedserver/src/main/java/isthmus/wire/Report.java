package isthmus.wire;

import java.util.Map;

/**
 * How good a global model is on one site's own validation data.
 *
 * @param round the round that made the model
 * @param samples validation samples: the report's weight, may be 0
 * @param metrics name to value
 */
public record Report(int round, long samples, Map<String, Double> metrics) {
    public Report {
        Checks.range("round", round, 1, 100_000);
        Checks.range("samples", samples, 0, 1L << 40);
        metrics = Checks.metrics(metrics);
    }
}
