package isthmus.task;

import isthmus.backend.Backend;
import isthmus.nn.Model;
import isthmus.tensor.WeightBuffer;
import isthmus.train.Trainer;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

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

    Session(Recipe recipe, List<Path> train, List<Path> validation, Compute compute) {
        int threads = compute.threads();
        this.recipe = recipe;
        this.model = recipe.build();
        this.backend = compute.open();
        this.films = Films.training(recipe, train, threads);
        int batch = Math.min(recipe.batch(), films.size());
        this.trainer = new Trainer(model, recipe.options(backend).withBatch(batch, 1), backend);
        this.measure = new Measure(recipe, model, trainer.weights(), Films.evaluation(recipe, validation, threads),
                backend);
    }

    WeightBuffer weights() { return trainer.weights(); }

    /** Initial weights from the recipe's seed. */
    void initialize() {
        model.initialize(trainer.weights(), recipe.seed());
    }

    /** To be called by the thread that trains or measures. */
    void enter() { backend.enter(); }

    double pass(long epoch, Trainer.Progress progress) { return trainer.pass(films.epoch(epoch), progress); }

    Map<String, Double> metrics() { return measure.metrics(); }

    @Override
    public void close() {
        backend.enter();
        measure.close();
        trainer.close();
        films.close();
        backend.close();
    }
}
