package isthmus.wire;

import java.util.List;
import java.util.Map;

/**
 * A finished round.
 *
 * @param round from 1 on
 * @param keyMetric sample-weighted mean of the key metric over the reporting sites; null if none reported it
 * @param best whether the model was the best so far
 * @param seconds from the round's opening to its end
 * @param sites what each site gave, by name
 */
public record RoundRecord(int round, Double keyMetric, boolean best, double seconds, List<Site> sites) {
    /**
     * One site in one round.
     *
     * @param samples training samples; 0 if its update is not in the fold
     * @param bytesUp weight bytes that were folded
     * @param seconds from fetching the task to the accepted update
     * @param train metrics of local training
     * @param valSamples validation samples
     * @param validation metrics of the new global model on the site's validation data
     */
    public record Site(String site, long samples, long bytesUp, double seconds, Map<String, Double> train,
            long valSamples, Map<String, Double> validation) {}
}
