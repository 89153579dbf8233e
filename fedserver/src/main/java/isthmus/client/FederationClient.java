package isthmus.client;

import isthmus.tensor.WeightBuffer;
import isthmus.wire.Failure;
import isthmus.wire.Kit;
import isthmus.wire.Link;
import isthmus.wire.Patience;
import isthmus.wire.RefusalException;
import isthmus.wire.Report;
import isthmus.wire.Role;
import isthmus.wire.Sha256;
import isthmus.wire.Task;
import isthmus.wire.UpdateHeader;
import isthmus.wire.Upload;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicBoolean;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A site in the federation: polls the server for tasks over connections that it opens itself, trains and validates with a
 * {@link LocalTrainer}, sends the difference in chunks. It survives cuts and restarts of the server: what was verified is
 * not sent again. {@link #run} works on the calling thread; {@link #close} may be called from any other.
 */
public final class FederationClient implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(FederationClient.class);
    private static final Duration POLL = Duration.ofSeconds(20);
    private static final Duration POLL_LIMIT = Duration.ofSeconds(45);

    private final ClientConfig config;
    private final LocalTrainer trainer;
    private final ClientEvents events;
    private final Link link;
    private final String server;
    private final String session = UUID.randomUUID().toString();
    private final AtomicBoolean closing = new AtomicBoolean();
    private final Patience patience;
    private boolean connected;
    private String job;
    private volatile Thread runner;

    /**
     * Checks the kit; connects to nothing yet.
     *
     * @throws IOException naming file and cure, if the kit is broken, not a site's, or expired
     */
    public FederationClient(ClientConfig config, LocalTrainer trainer, ClientEvents events) throws IOException {
        Kit kit = Kit.open(config.kit(), Role.SITE);
        if (config.host() != null || config.port() != 0)
            kit = kit.at(config.host() == null ? kit.connection().host() : config.host(),
                    config.port() == 0 ? kit.connection().port() : config.port());
        this.config = config;
        this.trainer = trainer;
        this.events = events;
        this.server = kit.server().toString();
        this.link = new Link(kit);
        this.patience = new Patience(Duration.ofDays(3650), this::waiting);
    }

    /**
     * Works for one job: returns when a job that this client took part in has ended, or null after {@link #close}.
     *
     * @throws IOException if the trainer failed, or the server refuses this site for good; the server has been told why
     */
    public JobOutcome runJob() throws IOException { return work(true); }

    /** Works for all jobs until {@link #close}; errors as {@link #runJob}. */
    public void run() throws IOException {
        work(false);
    }

    private JobOutcome work(boolean oneJob) throws IOException {
        runner = Thread.currentThread();
        try (SiteWeights weights = new SiteWeights(config.work())) {
            while (!closing.get()) {
                Task task = patience.run(this::poll);
                switch (task.kind()) {
                    case WAIT -> {
                        /* poll again */ }
                    case FINISHED -> {
                        events.finished(task.job(), task.rounds(), task.state());
                        job = null;
                        if (oneJob)
                            return new JobOutcome(task.job(), task.rounds(), task.state());
                    }
                    case TRAIN, VALIDATE -> perform(task, weights);
                }
            }
        } catch (InterruptedException e) {
            if (!closing.get())
                Thread.currentThread().interrupt();
        } catch (IOException | RuntimeException e) {
            if (!closing.get())
                throw e;
            LOG.debug("stopped in the middle of a call", e);
        } finally {
            runner = null;
        }
        return null;
    }

    private Task poll() throws IOException, InterruptedException {
        String current = job == null ? "" : "&job=" + job;
        Task task = link.get("/v1/task?wait=" + POLL.toMillis() + "&session=" + session + current, Task.class,
                POLL_LIMIT);
        if (!connected)
            events.connected(server);
        connected = true;
        return task;
    }

    private void waiting(String problem, Duration wait) {
        connected = false;
        LOG.info("{}: {}; trying again in {} ms", server, problem, wait.toMillis());
        events.retrying(problem, wait);
    }

    private void perform(Task task, SiteWeights weights) throws IOException, InterruptedException {
        job = task.job();
        RoundTask round = new RoundTask(task.job(), task.round(), task.rounds(), String.valueOf(task.recipe()),
                String.valueOf(task.model()), Map.copyOf(task.rule()), task.noProgressSeconds(), task.secondsLeft());
        boolean train = task.kind() == Task.Kind.TRAIN;
        events.started(round, train ? "train" : "validate");
        try (Heartbeat heartbeat = new Heartbeat(link, round, events, closing)) {
            WeightBuffer buffer = weights.load(link, task, patience,
                    now -> heartbeat.report(now, task.weights().bytes(), ""));
            heartbeat.stage(train ? "train" : "validate");
            SiteResult result = local(train, buffer, round, heartbeat);
            if (closing.get())
                return;
            if (heartbeat.cancelled()) {
                events.refused(round, "the round no longer waits for this site");
            } else if (train) {
                send(task, round, weights, result, heartbeat);
            } else {
                patience.run(() -> link.post("/v1/jobs/" + job + "/reports",
                        new Report(task.round(), result.samples(), finite(result.metrics())), Map.class));
                events.validated(round, result);
            }
        } catch (RefusalException e) {
            refused(round, e);
        }
    }

    /** Runs the trainer; what goes wrong in it is told to the server before it ends the run. */
    private SiteResult local(boolean train, WeightBuffer buffer, RoundTask round, Heartbeat heartbeat)
            throws IOException, InterruptedException {
        try {
            SiteResult result = train
                    ? trainer.train(buffer, round, heartbeat)
                    : trainer.validate(buffer, round, heartbeat);
            if (train && result.samples() == 0)
                throw new IllegalStateException("training used no samples");
            return result;
        } catch (InterruptedException e) {
            throw e;
        } catch (Exception e) {
            String what = e.getMessage() == null ? e.getClass().getName() : e.getMessage();
            if (!closing.get())
                tell(round, (train ? "training" : "validation") + " failed: " + what);
            throw new IOException("job " + round.job() + ", round " + round.round() + ": "
                    + (train ? "training" : "validation") + " failed: " + what, e);
        }
    }

    private void send(Task task, RoundTask round, SiteWeights weights, SiteResult result, Heartbeat heartbeat)
            throws IOException, InterruptedException {
        long start = System.nanoTime();
        MemorySegment update = weights.difference();
        UpdateHeader header = new UpdateHeader(task.round(), task.weights().table(), update.byteSize(),
                Sha256.of(update), config.chunkBytes(), result.samples(), finite(result.metrics()));
        heartbeat.stage("upload");
        String base = "/v1/jobs/" + task.job() + "/updates";
        new Upload(link, base, id -> base + "/" + task.round()).run(header, update, header.chunks(), patience,
                now -> heartbeat.report(now, header.bytes(), ""));
        events.uploaded(round, result, header.bytes(), Duration.ofNanos(System.nanoTime() - start));
    }

    private void refused(RoundTask round, RefusalException e) {
        if (e.is("certificate_refused") || e.status() == 403)
            throw e;
        LOG.warn("job {} round {}: refused: {}", round.job(), round.round(), e.getMessage());
        events.refused(round, e.getMessage());
        if (e.status() == 400)
            tell(round, "its work was refused: " + e.getMessage());
    }

    private void tell(RoundTask round, String what) {
        try {
            link.post("/v1/jobs/" + round.job() + "/failures?session=" + session,
                    new Failure(round.round(), what.substring(0, Math.min(4000, what.length()))), Map.class);
        } catch (IOException | RefusalException e) {
            LOG.warn("the server could not be told that {}: {}", what, e.getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static Map<String, Double> finite(Map<String, Double> metrics) {
        Map<String, Double> good = new TreeMap<>();
        metrics.forEach((name, value) -> {
            if (Double.isFinite(value))
                good.put(name, value);
            else
                LOG.warn("metric {} is {} and is left out", name, value);
        });
        return good;
    }

    /** Fetches a job's best or last model, resuming an earlier attempt; {@code which} is {@code best} or {@code last}. */
    public void download(String ofJob, String which, Path file) throws IOException, InterruptedException {
        String path = "/v1/jobs/" + ofJob + "/models/" + which;
        patience.run(() -> {
            Task.Weights model = link.get(path + "/digest", Task.Weights.class);
            link.download(path, file, model.bytes(), model.sha256(), now -> {});
            return null;
        });
    }

    /** Stops soon: breaks off transfers, tells the trainer through {@link Progress#cancelled}, makes run return. */
    @Override
    public void close() {
        closing.set(true);
        link.close();
        Thread running = runner;
        if (running != null && !running.equals(Thread.currentThread()))
            running.interrupt();
    }
}
