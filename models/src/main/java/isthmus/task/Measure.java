package isthmus.task;

import isthmus.backend.Backend;
import isthmus.backend.Precision;
import isthmus.graph.Workspace;
import isthmus.nn.Model;
import isthmus.tensor.WeightBuffer;
import isthmus.train.Evaluator;
import isthmus.train.Predictions;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.Map;

/** Measures a model on films, as often as wanted; always in float32, as the exported model will run. */
final class Measure implements AutoCloseable {
    private final Films films;
    private final Recipe recipe;
    private final Evaluator evaluator;
    private final Arena arena = Arena.ofConfined();
    private final MemorySegment labels;

    /** Takes over the films; {@code workspace} may be null. Weights are read at the time of each {@link #run}. */
    Measure(Recipe recipe, Model model, WeightBuffer weights, Films films, Backend backend, Workspace workspace) {
        this.films = films;
        this.recipe = recipe;
        this.evaluator = new Evaluator(model, weights, recipe.batch(), Precision.FP32, backend, workspace);
        this.labels = arena.allocate((long) recipe.batch() * recipe.labels().size() * Float.BYTES, 64);
    }

    int size() { return films.size(); }

    Films films() { return films; }

    Predictions run() { return evaluator.pass(films.epoch(0), labels); }

    /** AUROC of each label that has one, their mean, and the loss. */
    static Map<String, Double> metrics(Recipe recipe, Predictions p) {
        Map<String, Double> m = new LinkedHashMap<>();
        for (int i = 0; i < recipe.labels().size(); i++) {
            String key = "auroc " + recipe.labels().get(i);
            p.auroc(i).ifPresent(a -> m.put(key, a));
        }
        p.meanAuroc().ifPresent(a -> m.put("auroc", a));
        m.put("loss", p.loss());
        return m;
    }

    Map<String, Double> metrics() { return metrics(recipe, run()); }

    @Override
    public void close() {
        evaluator.close();
        films.close();
        arena.close();
    }
}
