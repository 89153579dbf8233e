package isthmus.cli;

import isthmus.nn.Model;
import isthmus.weights.Checkpoint;
import isthmus.zoo.ModelOptions;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import tools.jackson.databind.json.JsonMapper;

/** What imported weights say of themselves in their metadata, so that export need not be told again. */
final class ModelFacts {
    static final String MODEL = "isthmus.model";
    static final String IMAGE = "isthmus.image";
    static final String LABELS = "isthmus.labels";
    static final String OPTIONS = "isthmus.options";

    private ModelFacts() {}

    static Map<String, String> metadata(Model model, ModelOptions options, List<String> labels, String source,
            Checkpoint checkpoint) {
        Map<String, String> all = new TreeMap<>();
        all.put(MODEL, model.name());
        all.put(IMAGE, model.image().toString());
        all.put(LABELS, JsonMapper.shared().writeValueAsString(labels));
        all.put(OPTIONS, JsonMapper.shared().writeValueAsString(new TreeMap<>(options.attributes())));
        all.put("isthmus.source", source);
        all.put("isthmus.source_format", checkpoint.format());
        return all;
    }
}
