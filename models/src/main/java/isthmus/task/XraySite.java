package isthmus.task;

import isthmus.client.LocalTrainer;
import isthmus.client.Progress;
import isthmus.client.RoundTask;
import isthmus.client.SiteResult;
import isthmus.tensor.WeightBuffer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CancellationException;

/**
 * A hospital's part in a federation: trains on its own films by the job's recipe, and measures the global model on its own
 * validation films. Takes the machine's cores only while it computes, so that several sites may share one machine.
 */
public final class XraySite implements LocalTrainer, AutoCloseable {
    private final Path train;
    private final Path validation;
    private final Compute compute;
    private String recipeText;
    private Session session;

    /** A site with its CSV files; films are read when the first task comes. */
    public XraySite(Path train, Path validation, Compute compute) {
        this.train = train;
        this.validation = validation;
        this.compute = compute;
    }

    @Override
    public SiteResult train(WeightBuffer weights, RoundTask task, Progress progress) throws IOException {
        try (CoreLease lease = acquire(progress)) {
            Session s = session(task.recipe());
            s.weights().copyFrom(weights);
            int passes = s.recipe.localEpochs();
            long steps = (long) passes * s.films.batches();
            s.trainer.begin((task.round() - 1) * steps, task.rounds() * steps, task.rule().getOrDefault("mu", 0.0));
            double loss = 0;
            for (int p = 0; p < passes; p++) {
                long done = (long) p * s.films.batches();
                loss = s.pass((task.round() - 1L) * passes + p + 1, (step, of, samples, mean) -> {
                    if (progress.cancelled()) throw new CancellationException("the round no longer wants this result");
                    progress.report(done + step, steps,
                            String.format(Locale.ROOT, "round %d, loss %.3f", task.round(), mean));
                });
            }
            weights.copyFrom(s.weights());
            return new SiteResult(s.films.size(), Map.of("loss", loss));
        }
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
            session = new Session(Recipe.fromJson(text), List.of(train), List.of(validation), compute);
            recipeText = text;
        }
        session.enter();
        return session;
    }

    @Override
    public void close() { if (session != null) session.close(); }
}
