package isthmus.server;

import isthmus.wire.JobStatus;
import isthmus.wire.Note;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.TreeMap;
import java.util.function.Predicate;

/**
 * The sites of a job and when each last showed progress; the one rule of waiting stands here: a site that shows none for
 * so many seconds holds up nobody. Lives in memory only. Not thread-safe: see {@link Desk}.
 */
final class Members {
    private static final class Member {
        long progressAt;
        long takenAt;
        int workingRound;
        long done;
        long total;
        String note = "";
        int failedRound;
        String failedSession = "";
        boolean uploading;
    }

    private final TreeMap<String, Member> members = new TreeMap<>();
    private final long patienceNanos;

    Members(int noProgressSeconds) { patienceNanos = noProgressSeconds * 1_000_000_000L; }

    /** The site has a task in hand; it is waited for from now on. */
    void took(String site, int round, long now) {
        Member m = members.computeIfAbsent(site, s -> new Member());
        if (m.workingRound != round)
            m.takenAt = now;
        m.workingRound = round;
        m.progressAt = now;
        m.uploading = false;
        m.done = 0;
        m.total = 0;
        m.note = "";
    }

    /** The site did something; strangers are not made members by it. */
    void touch(String site, long now) {
        Member m = members.get(site);
        if (m != null)
            m.progressAt = now;
    }

    /** A site that took part before the server was restarted: it gets the same patience anew. */
    void expect(String site, long now) {
        members.computeIfAbsent(site, s -> new Member()).progressAt = now;
    }

    /** A sign of life counts as progress only if something moved: a trainer that hangs is not waited for. */
    void note(String site, Note note, long now) {
        Member m = members.computeIfAbsent(site, s -> new Member());
        if (note.done() != m.done || !note.note().equals(m.note))
            m.progressAt = now;
        m.done = note.done();
        m.total = note.total();
        m.note = note.note();
    }

    void uploading(String site, long now) {
        Member m = members.computeIfAbsent(site, s -> new Member());
        m.uploading = true;
        m.progressAt = now;
    }

    /** The site cannot do this round; the same process is not asked again for it, a new one is. */
    void failed(String site, int round, String session, String why) {
        Member m = members.computeIfAbsent(site, s -> new Member());
        m.failedRound = round;
        m.failedSession = session;
        m.note = why;
    }

    boolean hasFailed(String site, int round, String session) {
        Member m = members.get(site);
        return m != null && m.failedRound == round && m.failedSession.equals(session);
    }

    /** Clears a failure when the site, started anew, takes the task again. */
    void forgive(String site) {
        Member m = members.get(site);
        if (m != null)
            m.failedRound = 0;
    }

    double secondsSinceTaken(String site, long now) {
        Member m = members.get(site);
        return m == null || m.takenAt == 0 ? 0 : (now - m.takenAt) / 1e9;
    }

    /** Sites that are still worth waiting for: not delivered, not failed, and lately moving. */
    List<String> awaited(Predicate<String> delivered, int round, long now) {
        List<String> sites = new ArrayList<>();
        members.forEach((site, m) -> {
            if (!delivered.test(site) && m.failedRound != round && now - m.progressAt < patienceNanos)
                sites.add(site);
        });
        return sites;
    }

    /** A phase ended: who delivered in it is expected in the next. */
    void expectAll(Collection<String> sites, long now) {
        sites.forEach(site -> expect(site, now));
    }

    List<JobStatus.Site> status(Predicate<String> delivered, int round, long now) {
        List<JobStatus.Site> sites = new ArrayList<>();
        members.forEach((site, m) -> {
            String state = m.failedRound == round
                    ? "failed"
                    : delivered.test(site)
                            ? "delivered"
                            : now - m.progressAt >= patienceNanos
                                    ? "silent"
                                    : m.uploading ? "uploading" : m.workingRound == round ? "working" : "idle";
            sites.add(new JobStatus.Site(site, state, m.done, m.total, m.note, (now - m.progressAt) / 1e9));
        });
        return sites;
    }
}
