package isthmus.agent;

import isthmus.data.DataException;
import isthmus.data.Preprocess;
import isthmus.onnx.OnnxFacts;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.json.JsonMapper;

/**
 * What a model file says of itself.
 *
 * @param name the network's name
 * @param producer the program that wrote the file
 * @param opset the ONNX operator set's version
 * @param decision how logits become probabilities
 * @param labels what each output means
 * @param preprocess how an image becomes the input
 * @param provenance where the weights come from, sorted by key
 */
public record ModelCard(String name, String producer, int opset, OnnxFacts.Decision decision, List<String> labels,
        Preprocess preprocess, SortedMap<String, String> provenance) {
    /** From a file's metadata; an error that names the file and the key if one is missing or not understood. */
    static ModelCard of(String file, String name, String producer, Map<String, String> metadata) {
        SortedMap<String, String> provenance = new TreeMap<>();
        metadata.forEach((key, value) -> {
            if (key.startsWith(OnnxFacts.PROVENANCE))
                provenance.put(key.substring(OnnxFacts.PROVENANCE.length()), value);
        });
        return new ModelCard(name, producer, opset(file, need(file, metadata, OnnxFacts.OPSET)),
                decision(file, need(file, metadata, OnnxFacts.DECISION)),
                labels(file, need(file, metadata, OnnxFacts.LABELS)),
                preprocess(file, need(file, metadata, OnnxFacts.PREPROCESSING)), provenance);
    }

    private static String need(String file, Map<String, String> metadata, String key) {
        String value = metadata.get(key);
        if (value != null) return value;
        throw new AgentException(file + ": its metadata has no " + key + " (it has "
                + (metadata.isEmpty() ? "none" : new TreeMap<>(metadata).keySet())
                + "); use a file that isthmus exported");
    }

    private static AgentException misunderstood(String file, String key, String value, Throwable cause) {
        return new AgentException(
                file + ": its metadata's " + key + " is not understood: " + value + "; export it again",
                cause);
    }

    private static int opset(String file, String text) {
        try {
            return Integer.parseInt(text);
        } catch (NumberFormatException e) {
            throw misunderstood(file, OnnxFacts.OPSET, text, e);
        }
    }

    private static OnnxFacts.Decision decision(String file, String text) {
        return Arrays.stream(OnnxFacts.Decision.values())
                .filter(d -> d.name().toLowerCase(Locale.ROOT).equals(text)).findAny()
                .orElseThrow(() -> misunderstood(file, OnnxFacts.DECISION, text, null));
    }

    private static List<String> labels(String file, String json) {
        try {
            List<String> labels = List.of(new JsonMapper().readValue(json, String[].class));
            if (labels.isEmpty() || new HashSet<>(labels).size() < labels.size())
                throw misunderstood(file, OnnxFacts.LABELS, json, null);
            return labels;
        } catch (JacksonException | NullPointerException e) {
            throw misunderstood(file, OnnxFacts.LABELS, json, e);
        }
    }

    private static Preprocess preprocess(String file, String json) {
        try {
            return Preprocess.fromJson(json);
        } catch (DataException e) {
            throw new AgentException(file + ": its metadata's " + OnnxFacts.PREPROCESSING + " is not understood: "
                    + e.getMessage(), e);
        }
    }
}
