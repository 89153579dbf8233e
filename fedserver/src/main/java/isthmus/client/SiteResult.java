package isthmus.client;

import java.util.Map;

/**
 * What a site found out.
 *
 * @param samples how many samples it rests on
 * @param metrics name to value; values that are not finite are left out on the way, with a warning
 */
public record SiteResult(long samples, Map<String, Double> metrics) {
    public SiteResult {
        if (samples < 0)
            throw new IllegalArgumentException("samples is " + samples + "; it cannot be negative");
        metrics = Map.copyOf(metrics);
    }
}
