package isthmus.onnx;

import java.io.StringWriter;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.ObjectWriteContext;
import tools.jackson.core.json.JsonFactory;

/**
 * What a model file says of itself beside the network, so that who opens it needs nothing else.
 *
 * @param decision how logits become probabilities
 * @param labels what each output, or each class of box, means, in order
 * @param preprocessing how an image becomes the input, as JSON text; empty where that is not known
 * @param provenance where the weights come from, free text by key
 * @param producer name of the program that writes the file
 * @param version its version
 */
public record OnnxFacts(Decision decision, List<String> labels, String preprocessing, Map<String, String> provenance,
        String producer, String version) {
    /** How logits become probabilities. */
    public enum Decision {
        /** Each output by itself: several findings may hold. */
        SIGMOID,
        /** One of all outputs, of an image or at each of its positions. */
        SOFTMAX,
        /** None do: the logits are a detector's joined maps, from which boxes with scores are decoded. */
        BOXES
    }

    /** Metadata key: the labels as a JSON array of strings. */
    public static final String LABELS = "isthmus.labels";

    /** Metadata key: the preprocessing as JSON. */
    public static final String PREPROCESSING = "isthmus.preprocessing";

    /** Metadata key: {@link Decision}, lower case. */
    public static final String DECISION = "isthmus.decision";

    /** Metadata key: the operator set's version, which ONNX Runtime does not tell. */
    public static final String OPSET = "isthmus.opset";

    /** Metadata keys of the provenance begin with this. */
    public static final String PROVENANCE = "isthmus.provenance.";

    public OnnxFacts {
        labels = List.copyOf(labels);
        provenance = Map.copyOf(provenance);
        if (labels.isEmpty()) throw new IllegalArgumentException("onnx: no labels; name every output of the model");
        if (Set.copyOf(labels).size() < labels.size())
            throw new IllegalArgumentException("onnx: a label stands twice in " + labels);
    }

    /** All as metadata, sorted by key, so that equal facts give equal bytes. */
    SortedMap<String, String> metadata(int opset) {
        SortedMap<String, String> all = new TreeMap<>();
        provenance.forEach((key, value) -> all.put(PROVENANCE + key, value));
        all.put(LABELS, json(labels));
        if (!preprocessing.isEmpty()) all.put(PREPROCESSING, preprocessing);
        all.put(DECISION, decision.name().toLowerCase(java.util.Locale.ROOT));
        all.put(OPSET, Integer.toString(opset));
        return all;
    }

    private static String json(List<String> texts) {
        StringWriter out = new StringWriter();
        try (JsonGenerator json = new JsonFactory().createGenerator(ObjectWriteContext.empty(), out)) {
            json.writeStartArray();
            texts.forEach(json::writeString);
            json.writeEndArray();
        }
        return out.toString();
    }
}
