package isthmus.task;

import isthmus.backend.Backend;
import isthmus.backend.Precision;
import isthmus.nn.Model;
import isthmus.tensor.WeightBuffer;
import isthmus.train.Ema;
import isthmus.train.Trainer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A model, its trainer, the films it learns from and those it is measured on: what a pooled run and a site of a federation
 * have in common. Used by one thread.
 */
final class Session implements AutoCloseable {
    final Recipe recipe;
    final Model model;
    final Films films;
    final Trainer trainer;
    final Measure measure;
    private final Backend backend;
    private final List<String> notes = new ArrayList<>();

    /** A pooled run's: measured are the averaged weights, if the recipe wants an average. */
    static Session pooled(Recipe recipe, List<Path> train, List<Path> validation, Compute compute) {
        return new Session(recipe, train, validation, compute);
    }

    /** A site's: sites average nothing over time, the server averages over sites. */
    static Session ofSite(Recipe recipe, Path train, Path validation, Compute compute) {
        return new Session(recipe.with(recipe.update().with(Ema.OFF)), List.of(train), List.of(validation), compute);
    }

    private Session(Recipe recipe, List<Path> train, List<Path> validation, Compute compute) {
        int threads = compute.threads();
        this.recipe = recipe;
        this.model = recipe.buildForFilms();
        this.backend = compute.open();
        this.films = Films.training(recipe, train, threads);
        this.trainer = new Trainer(model, options(recipe, films, backend, notes), backend);
        this.measure = new Measure(recipe, model, trainer.averaged(), Films.evaluation(recipe, validation, threads),
                backend, trainer.workspace());
    }

    /** What the trainer needs for these films on this device; notes get a line where that is not what it seems. */
    static Trainer.Options options(Recipe recipe, Films films, Backend backend, List<String> notes) {
        Precision precision = Precision.parse(recipe.precision(), backend);
        Optional<String> problem = backend.halfProblem();
        if (Precision.isAmp(recipe.precision()) && precision == Precision.FP32)
            notes.add("precision amp means fp32 here: " + problem.orElse("half precision is no faster"));
        if (precision == Precision.F16 && backend.name().equals("cpu"))
            notes.add("precision f16 on a CPU is half-precision memory with float32 arithmetic, slower than fp32; "
                    + "amp (bf16) is the fast one");
        return recipe.options().with(precision).withBatch(films.batchSize(), recipe.data().loader().accumulate());
    }

    WeightBuffer weights() { return trainer.weights(); }

    /** To be called by the thread that trains or measures. */
    void enter() { backend.enter(); }

    /** Why the device can do nothing more; empty if it can. */
    Optional<String> loss() { return backend.loss(); }

    /** Steps of one pass over the films. */
    long steps() { return trainer.steps(films.batches()); }

    double pass(long epoch, Trainer.Progress progress) { return trainer.pass(films.epoch(epoch), progress); }

    Map<String, Double> metrics() { return measure.metrics(); }

    /** One line each for what is odd but no reason to stop. */
    List<String> warnings() {
        List<String> all = new ArrayList<>(notes);
        all.addAll(films.warnings());
        all.addAll(measure.films().warnings());
        return all;
    }

    @Override
    public void close() {
        backend.enter();
        measure.close();
        trainer.close();
        films.close();
        backend.close();
    }
}
