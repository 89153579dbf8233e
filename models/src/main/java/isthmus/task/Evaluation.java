package isthmus.task;

import isthmus.backend.Backend;
import isthmus.nn.Model;
import isthmus.tensor.Safetensors;
import isthmus.tensor.WeightBuffer;
import isthmus.train.Predictions;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** Measures a saved model on labelled films. */
public final class Evaluation {
    /**
     * What came out.
     *
     * @param metrics AUROC by label, mean and loss; see {@link Predictions}
     * @param predictions logits and labels, film by film
     */
    public record Result(Recipe recipe, int images, Map<String, Double> metrics, Predictions predictions,
            List<String> warnings, double seconds) {}

    private Evaluation() {}

    /**
     * Measures.
     *
     * @param weights safetensors file that a training or a federation made: its metadata has the recipe
     * @param tables CSV files; their films are pooled
     */
    public static Result run(Path weights, List<Path> tables, int threads) throws IOException {
        return run(weights, tables, Compute.cpu(threads));
    }

    /** Measures on a device. */
    public static Result run(Path weights, List<Path> tables, Compute compute) throws IOException {
        int threads = compute.threads();
        long begin = System.nanoTime();
        Recipe recipe = recipe(weights);
        try (CoreLease lease = CoreLease.acquire(threads);
                Backend backend = compute.open();
                Arena arena = Arena.ofConfined()) {
            backend.enter();
            Model model = recipe.buildForFilms();
            var buffer = new WeightBuffer(model.table(), backend.allocate(model.table().bytes(), arena));
            Safetensors.load(weights, buffer);
            try (Measure measure = new Measure(recipe, model, buffer, Films.evaluation(recipe, tables, threads),
                    backend, null)) {
                Predictions p = measure.run();
                return new Result(recipe, p.rows(), Measure.metrics(recipe, p), p, measure.films().warnings(),
                        (System.nanoTime() - begin) / 1e9);
            }
        }
    }

    /** The recipe that a weights file carries. */
    public static Recipe recipe(Path weights) throws IOException {
        String text = Safetensors.inspect(weights).metadata().get(Recipe.METADATA);
        if (text == null) {
            throw new IllegalArgumentException(
                    weights + ": the weights carry no recipe in their metadata, so labels and preprocessing are "
                            + "unknown; use a file that isthmus train or a federation wrote");
        }
        return Recipe.fromJson(text);
    }
}
