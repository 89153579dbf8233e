package isthmus.wire;

import java.util.List;

/**
 * A job as an administrator sees it.
 *
 * @param job identity
 * @param state receiving, running, done or aborted
 * @param phase receiving, train, fold, validate or ended
 * @param round the round at work, from 1 on
 * @param rounds how many there will be
 * @param minSites updates that a round needs
 * @param keyMetric name of the metric that picks the best model
 * @param bestRound round of the best model; 0 if there is none yet
 * @param bestValue its key metric, null if there is none yet
 * @param waiting what the round waits for, for people
 * @param reason why it was aborted, or empty
 * @param sites every site that took part, by name
 * @param history finished rounds, oldest first
 */
public record JobStatus(String job, String state, String phase, int round, int rounds, int minSites, String keyMetric,
        int bestRound, Double bestValue, String waiting, String reason, List<Site> sites, List<RoundRecord> history) {
    /**
     * One site at this moment.
     *
     * @param state idle, working, uploading, delivered, silent or failed
     * @param done work done, see {@link Note}
     * @param total all work
     * @param note the site's own words, or why it failed
     * @param idleSeconds since its last progress
     */
    public record Site(String site, String state, long done, long total, String note, double idleSeconds) {}

    /** Whether nothing more will happen. */
    public boolean ended() { return phase.equals("ended"); }
}
