package isthmus.server;

import isthmus.tensor.Safetensors;
import isthmus.tensor.WeightTable;
import isthmus.wire.Failure;
import isthmus.wire.JobSpec;
import isthmus.wire.JobStatus;
import isthmus.wire.Note;
import isthmus.wire.Refusal;
import isthmus.wire.RefusalException;
import isthmus.wire.Report;
import isthmus.wire.SubmitHeader;
import isthmus.wire.Task;
import isthmus.wire.UploadState;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Predicate;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One job: what sites and administrators may do with it, and when a round moves on. State changes by events only, each
 * journalled before it counts; every public step takes the desk's lock itself and does heavy work outside of it.
 */
final class Job implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Job.class);
    private static final long RETRY_NANOS = 5_000_000_000L;

    final String id;
    final JobSpec spec;
    final Aggregator aggregator;
    final JobFolder folder;
    final JobState state = new JobState();
    final Members members;
    private final Desk desk;
    final Uploads uploads;
    private final Slot initial;
    private Journal journal;
    private WeightTable table;
    private SubmitHeader submission;
    private long roundOpened = System.nanoTime();
    /** A fold or a close is under way on a worker. */
    private boolean working;
    private boolean warnedOfDeadline;
    private long retryAt = roundOpened;
    private String trouble = "";

    private Job(String id, JobSpec spec, JobFolder folder, Desk desk) {
        this.id = id;
        this.spec = spec;
        this.folder = folder;
        this.desk = desk;
        this.aggregator = Aggregators.of(spec.aggregator());
        this.members = new Members(spec.noProgressSeconds());
        this.uploads = new Uploads(this, desk);
        this.initial = new Slot(folder.slots(), ".initial", "job " + id + ", initial weights");
    }

    /** Opens a job's folder: a new one, or one that a stopped or killed server left. */
    static Job open(String id, JobFolder folder, Desk desk) throws IOException {
        Job job = new Job(id, folder.spec(), folder, desk);
        Resume resume = new Resume(job);
        job.journal = Journal.open(folder.journal(), resume::replay);
        resume.finish();
        return job;
    }

    // ---- administrators ----

    /** Announces, or announces again, the initial weights. */
    UploadState beginWeights(SubmitHeader header) throws IOException {
        initial.deciding.lock();
        try {
            boolean started = desk.locked(() -> state.phase != JobState.Phase.RECEIVING);
            if (!started) {
                initial.begin(header.sha256(), header.chunks());
                submission = header;
            }
            return started ? new UploadState(id, true, List.of()) : initial.state(id, false);
        } finally {
            initial.deciding.unlock();
        }
    }

    /** Opens a chunk of the initial weights. */
    Slot.Writer weightsChunk(int chunk, String sha256, long length) {
        return initial.write(chunk, sha256, length);
    }

    /** Verifies the initial weights and opens round 1. */
    UploadState commitWeights() throws IOException {
        initial.deciding.lock();
        try {
            if (desk.locked(() -> state.phase != JobState.Phase.RECEIVING))
                return new UploadState(id, true, List.of());
            if (submission == null)
                throw RefusalException.conflict("not_begun", "the job's weights were not begun", where(0),
                        "submit again");
            if (!initial.isComplete())
                return initial.state(id, false);
            Task.Weights weights = new InitialWeights(this).accept(initial, submission);
            desk.locked(() -> record(new Event.Started(weights)));
            initial.delete();
            return new UploadState(id, true, List.of());
        } finally {
            initial.deciding.unlock();
        }
    }

    /** Whether this is the same submission, come again after a cut. */
    boolean isReceiving(SubmitHeader header) {
        return desk.locked(() -> state.phase == JobState.Phase.RECEIVING && header.equals(submission));
    }

    void abort(String why) {
        desk.locked(() -> {
            if (state.phase != JobState.Phase.ENDED)
                record(new Event.Ended("aborted", why));
        });
    }

    // ---- sites ----

    /** What a site is to do now, or null. Called under the lock. */
    Task taskFor(String site, String session) {
        long now = System.nanoTime();
        members.touch(site, now);
        boolean train = state.phase == JobState.Phase.TRAIN && !state.accepted.containsKey(site);
        boolean validate = state.phase == JobState.Phase.VALIDATE && !state.reports.containsKey(site);
        if (working || (!train && !validate) || members.hasFailed(site, state.round, session))
            return null;
        if (!state.joined.contains(site))
            record(new Event.Joined(site));
        members.forgive(site);
        members.took(site, state.round, now);
        long left = spec.roundDeadlineSeconds() - (now - roundOpened) / 1_000_000_000L;
        return new Task(train ? Task.Kind.TRAIN : Task.Kind.VALIDATE, id, state.round, spec.rounds(), state.global,
                train ? aggregator.task() : java.util.Map.of(), spec.recipe(), spec.model(), spec.noProgressSeconds(),
                Math.max(0, left), null);
    }

    Note.Answer note(String site, Note note) {
        return desk.locked(() -> {
            boolean open = state.phase == JobState.Phase.TRAIN || state.phase == JobState.Phase.VALIDATE;
            boolean wanted = open && note.round() == state.round && !working && !delivered().test(site);
            if (wanted)
                members.note(site, note, System.nanoTime());
            return new Note.Answer(wanted);
        });
    }

    /** A site's metrics of the new global model; the same round again is acknowledged and counts once. */
    void report(String site, Report report) {
        desk.locked(() -> {
            members.touch(site, System.nanoTime());
            if (report.round() == state.round && state.reports.containsKey(site))
                return;
            if (state.phase != JobState.Phase.VALIDATE || report.round() != state.round || working)
                throw roundOver(site, report.round());
            record(new Event.Reported(report.round(), site, report.samples(), report.metrics()));
        });
    }

    void failed(String site, String session, Failure failure) {
        desk.locked(() -> {
            if (failure.round() == state.round && !state.accepted.containsKey(site))
                members.failed(site, failure.round(), session, failure.what());
            desk.ring();
        });
        LOG.warn("job {} round {} site {}: failed: {}", id, failure.round(), site, failure.what());
    }

    // ---- rounds ----

    /** Moves the round on if it can. Called by the desk's clock and after every event, under the lock. */
    void advance() {
        long now = System.nanoTime();
        if (working || now - retryAt < 0)
            return;
        if (state.phase == JobState.Phase.TRAIN && isTrained(now))
            work(() -> new RoundWork(this).fold(uploads.accepted(), state.round, state.global));
        else if (state.phase == JobState.Phase.VALIDATE && isValidated(now))
            work(() -> new RoundWork(this).close(roundOpened));
    }

    private boolean isTrained(long now) {
        if (state.accepted.size() < spec.minSites()) {
            if (isLate(now) && !warnedOfDeadline)
                LOG.warn("job {} round {}: past its deadline with {} of {} updates; it stays open until they are there",
                        id, state.round, state.accepted.size(), spec.minSites());
            warnedOfDeadline |= isLate(now);
            return false;
        }
        return isLate(now) || members.awaited(delivered(), state.round, now).isEmpty();
    }

    private boolean isValidated(long now) {
        return isLate(now) || (!state.reports.isEmpty() && members.awaited(delivered(), state.round, now).isEmpty());
    }

    private boolean isLate(long now) { return now - roundOpened > spec.roundDeadlineSeconds() * 1_000_000_000L; }

    private Predicate<String> delivered() {
        return state.phase == JobState.Phase.TRAIN ? state.accepted::containsKey : state.reports::containsKey;
    }

    /** Heavy work on a worker; what it returns is recorded under the lock. If it fails the round stays as it was. */
    private void work(Work work) {
        working = true;
        desk.execute(() -> {
            try {
                List<Event> events = work.run();
                desk.locked(() -> {
                    working = false;
                    trouble = "";
                    if (state.phase != JobState.Phase.ENDED)
                        events.forEach(this::record);
                });
                folder.dropGlobalBefore(desk.locked(() -> state.global.round()));
            } catch (IOException | RuntimeException e) {
                LOG.error("job {} round {}: cannot go on, tried again soon: {}", id, state.round, e.getMessage(), e);
                desk.locked(() -> {
                    trouble = e.getMessage();
                    retryAt = System.nanoTime() + RETRY_NANOS;
                    working = false;
                });
            }
        });
    }

    private interface Work {
        List<Event> run() throws IOException;
    }

    /** Journals an event, lets it count, wakes who waits. Called under the lock. */
    void record(Event event) {
        journal.append(event);
        long now = System.nanoTime();
        var before = state.phase == JobState.Phase.TRAIN
                ? List.copyOf(state.accepted.keySet())
                : List.copyOf(state.reports.keySet());
        state.apply(event);
        switch (event) {
            case Event.Started e -> {
                roundOpened = now;
                LOG.info("job {}: started, {} rounds, rule {}", id, spec.rounds(), spec.aggregator().get("rule"));
            }
            case Event.Folded e -> members.expectAll(before, now);
            case Event.Closed e -> {
                folder.appendMetrics(e.record());
                members.expectAll(before, now);
                roundOpened = now;
                warnedOfDeadline = false;
                uploads.forgetBegun();
            }
            case Event.Ended e -> LOG.info("job {}: ended: {} {}", id, e.state(), e.reason());
            default -> {
                /* counted, nothing more to do */ }
        }
        desk.ring();
        advance();
    }

    // ---- shared ----

    /** Table of the job's weights; there once the job has started. */
    WeightTable table() throws IOException {
        if (table == null)
            table = Safetensors.inspect(folder.global(state.global.round())).table();
        return table;
    }

    String where(String site) { return where(state.round) + ", site " + site; }

    String where(int round) { return "job " + id + (round > 0 ? ", round " + round : ""); }

    /** Throws unless this round takes updates. Called under the lock. */
    void requireOpen(String site, int round) {
        if (state.phase != JobState.Phase.TRAIN || state.round != round || working)
            throw roundOver(site, round);
    }

    RefusalException roundOver(String site, int round) {
        String place = where(round) + ", site " + site;
        if (state.phase == JobState.Phase.ENDED)
            return RefusalException.conflict("job_ended", "the job is " + state.outcome, place,
                    "nothing is left to do");
        if (round > state.round)
            return RefusalException.conflict("future_round", "the job is at round " + state.round, place,
                    "poll for a task first");
        return RefusalException.conflict("old_round",
                "round " + round + " is closed, the job is at round " + state.round
                        + " (" + state.phase.name().toLowerCase(java.util.Locale.ROOT) + ")",
                place,
                "poll for the next task; this work is not counted");
    }

    /** Asks a site again for an update whose bytes were lost. */
    void withdraw(Event.Accepted accepted) {
        desk.locked(() -> record(new Event.Withdrawn(accepted.round(), accepted.site(), "damaged on disk")));
    }

    /** The last round was closed, but a crash came before the end was written. */
    void end() {
        desk.locked(() -> record(new Event.Ended("done", "")));
    }

    /** The weights that this round's tasks name; older ones are gone. */
    Path globalFile(int round) {
        int now = desk.locked(() -> state.global == null ? -1 : state.global.round());
        if (round != now)
            throw RefusalException.conflict("old_round", "the newest weights are those of round " + now, where(round),
                    "poll for the next task");
        return folder.global(round);
    }

    /** The best or the last model. */
    Path modelFile(String which) {
        if (!which.equals("best") && !which.equals("last"))
            throw RefusalException.bad("bad_name", "there is no model of that name", where(0), "ask for best or last");
        return folder.model(which);
    }

    /** Size and digest of the best or the last model. */
    Task.Weights describeModel(String which) throws IOException {
        Path file = modelFile(which);
        if (Files.notExists(file))
            throw new RefusalException(404, new Refusal("no_such_file", "there is no " + which + " model yet", where(0),
                    "wait until a round is closed"));
        return JobFolder.describe(file, desk.locked(() -> state.closedRounds));
    }

    JobStatus status(int since) { return desk.locked(() -> StatusView.of(this, delivered(), working, trouble, since)); }

    @Override
    public void close() {
        uploads.close();
        initial.close();
        try {
            journal.close();
        } catch (IOException e) {
            LOG.warn("job {}: {}", id, e.getMessage());
        }
    }
}
