package isthmus.cli;

import isthmus.nn.Adaptation;
import isthmus.nn.Merge;
import isthmus.nn.Model;
import isthmus.onnx.OnnxFacts;
import isthmus.task.Recipe;
import isthmus.tensor.Safetensors;
import isthmus.tensor.SafetensorsException;
import isthmus.tensor.WeightBuffer;
import isthmus.weights.Checkpoint;
import isthmus.weights.WeightImport;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * A plain model with its weights, ready to be written as ONNX: adapters are merged into the base.
 *
 * @param trained whether a recipe came with the weights, so that films can be read as in training
 */
record Exportable(Model model, WeightBuffer weights, OnnxFacts facts, boolean trained) {
    private static final String OWN = "isthmus.";
    private static final Set<String> SAID_ELSEWHERE = Set.of("isthmus.regions", ModelFacts.MODEL, ModelFacts.IMAGE,
            ModelFacts.LABELS, ModelFacts.OPTIONS);

    /** What an ONNX file says of weights that a recipe made. */
    static Exportable trained(Path file, Recipe recipe, Arena arena) throws IOException {
        Model adapted = recipe.build();
        WeightBuffer weights = WeightBuffer.allocate(adapted.table(), arena);
        Map<String, String> metadata = Safetensors.load(file, weights);
        Model plain = adapted.with(Adaptation.NONE);
        WeightBuffer merged = WeightBuffer.allocate(plain.table(), arena);
        Merge.into(adapted, weights, merged);
        return new Exportable(plain, merged, facts(OnnxFacts.Decision.SIGMOID, recipe.labels(),
                recipe.preprocess().toJson(), metadata), true);
    }

    /** What came by import, or from another program: the options and the file's own words say which model it is. */
    static Exportable plain(Path file, ModelFacts said, OnnxFacts.Decision decision, Arena arena) throws IOException {
        Checkpoint checkpoint = Checkpoint.open(file, arena);
        WeightImport.Imported in = WeightImport.run(checkpoint, said.request(checkpoint.axes()), arena);
        if (!in.report().missing().isEmpty())
            throw new CliException(Exit.BAD_DATA, file + ": lacks " + in.report().missing().getFirst().name()
                    + " of that size; export needs all weights, isthmus import can start some anew");
        boolean boxes = in.model().output().rank() == 1 && in.model().output().dim(0) != in.classes();
        OnnxFacts.Decision usual = boxes
                ? OnnxFacts.Decision.BOXES
                : in.model().output().rank() > 1 ? OnnxFacts.Decision.SOFTMAX : OnnxFacts.Decision.SIGMOID;
        return new Exportable(in.model(), in.weights(), facts(decision == null || boxes ? usual : decision,
                said.labels(in.classes()), said.preprocessing(), metadata(file)), false);
    }

    /** A safetensors file's metadata; none of other files. */
    static Map<String, String> metadata(Path file) throws IOException {
        try {
            return Safetensors.contents(file).metadata();
        } catch (SafetensorsException e) {
            return Map.of();
        }
    }

    private static OnnxFacts facts(OnnxFacts.Decision decision, List<String> labels, String preprocessing,
            Map<String, String> metadata) {
        Map<String, String> provenance = new TreeMap<>();
        metadata.forEach((key, value) -> {
            if (!SAID_ELSEWHERE.contains(key))
                provenance.put(key.startsWith(OWN) ? key.substring(OWN.length()) : key, value);
        });
        return new OnnxFacts(decision, labels, preprocessing, provenance, "isthmus", Version.TEXT);
    }
}
