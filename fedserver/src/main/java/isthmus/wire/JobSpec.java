package isthmus.wire;

import java.util.Map;
import tools.jackson.databind.JsonNode;

/**
 * A job as its author writes it, in JSON. Jobs are data: they choose rules that are compiled in, and carry no code.
 *
 * @param name names the job; the server appends a number
 * @param rounds how often sites train and the server folds, 1 to 100000
 * @param minSites updates that a round needs
 * @param aggregator the rule and its settings, such as {@code {"rule": "fedprox", "mu": 0.01}}
 * @param noProgressSeconds a site that shows no progress for so long no longer holds up a round; default 300
 * @param roundDeadlineSeconds after this a round closes with the updates it has, if they are enough; default 86400
 * @param keyMetric validation metric whose sample-weighted mean picks the best model; greater is better
 * @param maxUpdateNorm longest update (L2 norm) that is accepted; default 1e6
 * @param maxSamples greatest sample count that one site may claim; default 1e8
 * @param recipe how sites train; the server passes it on unread
 * @param model what is trained; passed on unread
 */
public record JobSpec(String name, Integer rounds, Integer minSites, Map<String, JsonNode> aggregator,
        Integer noProgressSeconds, Integer roundDeadlineSeconds, String keyMetric, Double maxUpdateNorm,
        Long maxSamples, JsonNode recipe, JsonNode model) {
    public JobSpec {
        Names.check("job", name);
        recipe = Json.orNull(recipe);
        model = Json.orNull(model);
        Checks.range("rounds", Checks.present("rounds", rounds), 1, 100_000);
        Checks.range("min_sites", Checks.present("min_sites", minSites), 1, 10_000);
        if (aggregator == null || aggregator.isEmpty())
            throw new IllegalArgumentException("aggregator is missing; write {\"rule\": \"fedavg\"}");
        noProgressSeconds = noProgressSeconds == null ? Integer.valueOf(300) : noProgressSeconds;
        roundDeadlineSeconds = roundDeadlineSeconds == null ? Integer.valueOf(86_400) : roundDeadlineSeconds;
        maxUpdateNorm = maxUpdateNorm == null ? Double.valueOf(1e6) : maxUpdateNorm;
        maxSamples = maxSamples == null ? Long.valueOf(100_000_000L) : maxSamples;
        Checks.range("no_progress_seconds", noProgressSeconds, 1, 604_800);
        Checks.range("round_deadline_seconds", roundDeadlineSeconds, 1, 31_536_000);
        Checks.positive("max_update_norm", maxUpdateNorm);
        Checks.range("max_samples", maxSamples, 1, 1L << 40);
        Checks.text("key_metric", keyMetric, 64);
    }
}
