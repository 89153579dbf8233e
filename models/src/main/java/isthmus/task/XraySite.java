package isthmus.task;

import isthmus.client.LocalTrainer;
import isthmus.client.Progress;
import isthmus.client.RoundTask;
import isthmus.client.SiteResult;
import isthmus.tensor.WeightBuffer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CancellationException;

/**
 * A hospital's part in a federation: trains on its own films by the job's recipe, and measures the global model on its own
 * validation films. Takes the machine's cores only while it computes, so that several sites may share one machine.
 */
public final class XraySite implements LocalTrainer, AutoCloseable {
    private final Path train;
    private final Path validation;
    private final Compute compute;
    private final SiteMoments moments;
    private String recipeText;
    private Session session;

    /** A site that keeps nothing on disk; see the other constructor. */
    public XraySite(Path train, Path validation, Compute compute) {
        this(train, validation, compute, Optional.empty());
    }

    /**
     * A site with its CSV files; films are read when the first task comes.
     *
     * @param state folder where the optimizer's moments are kept from round to round, if a recipe wants that
     */
    public XraySite(Path train, Path validation, Compute compute, Optional<Path> state) {
        this.train = train;
        this.validation = validation;
        this.compute = compute;
        this.moments = new SiteMoments(state);
    }

    @Override
    public SiteResult train(WeightBuffer weights, RoundTask task, Progress progress) throws IOException {
        try (CoreLease lease = acquire(progress)) {
            Session s = session(task.recipe());
            s.weights().copyFrom(weights);
            begin(s, task, progress);
            int passes = s.recipe.localEpochs();
            long batches = (long) passes * s.films.batches();
            double loss = 0;
            var note = new LossNote();
            for (int p = 0; p < passes; p++) {
                long done = (long) p * s.films.batches();
                loss = s.pass((task.round() - 1L) * passes + p + 1, (batch, of, samples, mean) -> {
                    if (progress.cancelled()) throw new CancellationException("the round no longer wants this result");
                    progress.report(done + batch, batches,
                            String.format(Locale.ROOT, "round %d, loss %.3f", task.round(), note.of(mean)));
                });
            }
            weights.copyFrom(s.weights());
            if (s.recipe.course().keepOptimizer()) moments.keep(s.trainer, task);
            return new SiteResult(s.films.size(), Map.of("loss", loss));
        }
    }

    /** Places the trainer on the job's schedule; its optimizer begins anew, or goes on, as the recipe says. */
    private void begin(Session s, RoundTask task, Progress progress) {
        long steps = s.recipe.localEpochs() * s.steps();
        double proximal = task.rule().getOrDefault("mu", 0.0);
        long first = (task.round() - 1) * steps;
        if (s.recipe.course().keepOptimizer())
            progress.report(0, 0, moments.begin(s.trainer, task, first, task.rounds() * steps, proximal));
        else
            s.trainer.begin(first, task.rounds() * steps, proximal);
    }

    @Override
    public SiteResult validate(WeightBuffer weights, RoundTask task, Progress progress) throws IOException {
        try (CoreLease lease = acquire(progress)) {
            Session s = session(task.recipe());
            s.weights().copyFrom(weights);
            Map<String, Double> metrics = new LinkedHashMap<>(s.metrics());
            progress.report(1, 1, "validated");
            return new SiteResult(s.measure.size(), metrics);
        }
    }

    private CoreLease acquire(Progress progress) throws IOException {
        progress.report(0, 0, "waiting for free cores");
        return CoreLease.acquire(compute.threads());
    }

    private Session session(String text) {
        if (session != null && !text.equals(recipeText)) {
            session.close();
            session = null;
        }
        if (session == null) {
            session = Session.ofSite(Recipe.fromJson(text), train, validation, compute);
            recipeText = text;
            moments.forget();
        }
        session.enter();
        return session;
    }

    @Override
    public void close() { if (session != null) session.close(); }
}
