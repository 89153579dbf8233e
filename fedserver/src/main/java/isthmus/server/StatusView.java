package isthmus.server;

import isthmus.wire.JobStatus;
import isthmus.wire.RoundRecord;
import java.util.List;
import java.util.Locale;
import java.util.function.Predicate;

/** What an administrator sees of a job. */
final class StatusView {
    /** Longest history in one answer; who wants more asks again from the last round on. */
    static final int MOST_ROUNDS = 100;

    private StatusView() {}

    /** Called under the lock. */
    static JobStatus of(Job job, Predicate<String> delivered, boolean working, String trouble, int since) {
        JobState s = job.state;
        long now = System.nanoTime();
        String state = switch (s.phase) {
            case RECEIVING -> "receiving";
            case TRAIN, VALIDATE -> "running";
            case ENDED -> s.outcome;
        };
        String phase = working && s.phase == JobState.Phase.TRAIN ? "fold" : s.phase.name().toLowerCase(Locale.ROOT);
        List<RoundRecord> history = job.folder.history(since, MOST_ROUNDS);
        return new JobStatus(job.id, state, phase, Math.min(s.round, job.spec.rounds()), job.spec.rounds(),
                job.spec.minSites(), job.spec.keyMetric(), s.bestRound, s.bestValue,
                trouble.isEmpty() ? waiting(job, delivered, working, now) : "trouble: " + trouble, s.reason,
                job.members.status(delivered, s.round, now), history);
    }

    private static String waiting(Job job, Predicate<String> delivered, boolean working, long now) {
        JobState s = job.state;
        if (working || s.phase == JobState.Phase.ENDED)
            return "";
        if (s.phase == JobState.Phase.RECEIVING)
            return "its initial weights";
        int have = s.phase == JobState.Phase.TRAIN ? s.accepted.size() : s.reports.size();
        int need = s.phase == JobState.Phase.TRAIN ? job.spec.minSites() : 1;
        List<String> awaited = job.members.awaited(delivered, s.round, now);
        String sites = awaited.isEmpty() ? "" : ": " + String.join(", ", awaited);
        return (have < need ? (need - have) + " more site(s)" : "sites at work") + sites;
    }
}
