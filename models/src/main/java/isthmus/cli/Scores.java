package isthmus.cli;

import isthmus.task.Evaluation;
import isthmus.task.Recipe;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/** Metrics as they stand in reports: a value a label and the mean; null where only one class is known. */
final class Scores {
    private Scores() {}

    /** AUROC by label, then {@code mean}. */
    static Map<String, Double> auroc(Recipe recipe, Map<String, Double> metrics) {
        Map<String, Double> all = new LinkedHashMap<>();
        for (String label : recipe.labels())
            all.put(label, metrics.get("auroc " + label));
        all.put("mean", metrics.get("auroc"));
        return all;
    }

    /** The mean AUROC of a measurement, NaN where there is none. */
    static double mean(Evaluation.Result result) {
        return result.metrics().getOrDefault("auroc", Double.NaN);
    }

    /** Three decimals, or a dash. */
    static String text(Double value) {
        return value == null || !Double.isFinite(value) ? "-" : String.format(Locale.ROOT, "%.3f", value);
    }
}
