package isthmus.cli;

import isthmus.agent.ImagingAgent;
import isthmus.agent.OnnxCheck;
import isthmus.data.ImageDataset;
import isthmus.data.LabelTable;
import isthmus.onnx.OnnxExporter;
import isthmus.task.Evaluation;
import isthmus.task.Recipe;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Locale;

/** From saved weights to an ONNX file for the clinic, and the proof that it answers as training's own engine does. */
final class OnnxFile {
    /** Largest difference that is taken for rounding; both sides compute in float32. */
    static final double TOLERANCE = 1e-4;

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
        try (Arena arena = Arena.ofConfined()) {
            Exportable what = Exportable.trained(weights, recipe, arena);
            OnnxExporter.write(onnx, what.model(), what.weights(), what.facts());
        }
        return recipe;
    }

    /** Gives a finished file its name, over whatever had it before. */
    static void move(Path finished, Path target) throws IOException {
        Files.move(finished, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
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
                ImagingAgent agent = ImagingAgent.open(onnx, threads, false)) {
            OnnxCheck check = OnnxCheck.of(agent, data, recipe.batch(), ours.predictions().logits());
            return new Check(ours.images(), check.maxProbabilityDifference(), check.maxAbsDifference(),
                    check.maxRelativeDifference());
        }
    }
}
