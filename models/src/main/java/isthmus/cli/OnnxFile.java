package isthmus.cli;

import isthmus.agent.ImagingAgent;
import isthmus.agent.OnnxCheck;
import isthmus.data.BatchLoader;
import isthmus.data.ImageDataset;
import isthmus.data.LabelTable;
import isthmus.nn.Model;
import isthmus.onnx.OnnxExporter;
import isthmus.onnx.OnnxFacts;
import isthmus.task.Evaluation;
import isthmus.task.Recipe;
import isthmus.tensor.Safetensors;
import isthmus.tensor.WeightBuffer;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/** From saved weights to an ONNX file for the clinic, and the proof that it answers as training's own engine does. */
final class OnnxFile {
    /** Largest difference that is taken for rounding; both sides compute in float32. */
    private static final double TOLERANCE = 1e-4;
    private static final String OWN = "isthmus.";

    /**
     * Outcome of a check: the largest difference of a probability, of a logit, and of a logit as a share of it beyond 1.
     */
    record Check(int images, double maxAbsDiff, double maxLogitDiff, double maxRelativeLogitDiff) {
        boolean agrees() { return maxAbsDiff <= TOLERANCE && maxRelativeLogitDiff <= TOLERANCE; }

        /** For people. */
        String figures() {
            return String.format(Locale.ROOT,
                    "%d films, largest difference of a probability %.1e, of a logit %.1e (limit %.0e, of logits "
                            + "beyond 1 as a share)",
                    images, maxAbsDiff, maxLogitDiff, TOLERANCE);
        }
    }

    private OnnxFile() {}

    /** Writes the model with labels, preprocessing and where its weights come from; says what the recipe was. */
    static Recipe write(Path weights, Path onnx) throws IOException {
        Recipe recipe = Evaluation.recipe(weights);
        Model model = recipe.build();
        try (Arena arena = Arena.ofConfined()) {
            WeightBuffer buffer = WeightBuffer.allocate(model.table(), arena);
            Map<String, String> metadata = Safetensors.load(weights, buffer);
            OnnxExporter.write(onnx, model, buffer,
                    new OnnxFacts(OnnxFacts.Decision.SIGMOID, recipe.labels(), recipe.preprocess().toJson(),
                            provenance(metadata), "isthmus", Version.TEXT));
        }
        return recipe;
    }

    private static Map<String, String> provenance(Map<String, String> metadata) {
        Map<String, String> all = new TreeMap<>();
        metadata.forEach((key, value) -> {
            if (!key.equals("isthmus.regions")) all.put(key.startsWith(OWN) ? key.substring(OWN.length()) : key, value);
        });
        return all;
    }

    /** Runs ONNX Runtime and our own engine on the same films. */
    static Check check(Path weights, Path onnx, List<Path> tables, int threads) throws IOException {
        Evaluation.Result ours = Evaluation.run(weights, tables, threads);
        Recipe recipe = ours.recipe();
        LabelTable.Options options = LabelTable.Options.standard().withUncertain(recipe.uncertain())
                .withDropUnlabeled(true);
        LabelTable table = LabelTable
                .concat(tables.stream().map(t -> LabelTable.read(t, recipe.labels(), options)).toList());
        try (ImageDataset data = ImageDataset.load(table, recipe.preprocess(),
                ImageDataset.Options.standard().withThreads(threads));
                BatchLoader loader = new BatchLoader(data, BatchLoader.Options.evaluation(recipe.batch()));
                ImagingAgent agent = ImagingAgent.open(onnx, threads, false)) {
            OnnxCheck check = OnnxCheck.of(agent, loader, ours.predictions().logits());
            return new Check(ours.images(), check.maxProbabilityDifference(), check.maxAbsDifference(),
                    check.maxRelativeDifference());
        }
    }
}
