package isthmus.weights;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The dictionary of tensors inside of what was pickled: a state_dict as such, or one under a key of a training
 * checkpoint.
 */
final class StateDict {
    /** Where training programs keep the weights, the likeliest first. */
    private static final List<String> KEYS = List.of("state_dict", "model_state_dict", "model_state", "model",
            "network",
            "net", "module", "weights", "params");
    private static final int MAX_DEPTH = 4;

    private final String source;
    private final List<String> notes = new ArrayList<>();

    private StateDict(String source) { this.source = source; }

    /**
     * What was found.
     *
     * @param tensors by name, in the file's order
     * @param notes one line each for what was unwrapped or left out
     */
    record Found(Map<String, Py.Tensor> tensors, List<String> notes) {}

    static Found find(String source, Py root) {
        StateDict s = new StateDict(source);
        Py.Dict dict = s.unwrap(root);
        Map<String, Py.Tensor> tensors = new LinkedHashMap<>();
        List<String> others = new ArrayList<>();
        dict.values().forEach((key, value) -> {
            if (!(key instanceof Py.Text name)) others.add(value.kind());
            else if (value instanceof Py.Tensor t) tensors.put(name.value(), t);
            else
                others.add(name.value() + " (" + value.kind() + ")");
        });
        if (!others.isEmpty()) s.notes.add("left out what is no tensor: " + Words.some(others));
        return new Found(tensors, s.notes);
    }

    private Py.Dict unwrap(Py root) {
        Py at = root;
        List<String> path = new ArrayList<>();
        for (int depth = 0; depth < MAX_DEPTH && at instanceof Py.Dict dict; depth++) {
            if (hasTensors(dict)) {
                if (!path.isEmpty()) notes.add("took the dictionary '" + String.join("' / '", path) + "'");
                return dict;
            }
            String key = next(dict);
            path.add(key);
            at = dict.values().get(new Py.Text(key));
        }
        if (at instanceof Py.Tensor)
            throw wrong("holds one tensor without a name; a dictionary of tensors by name is needed");
        throw wrong(path.isEmpty()
                ? "holds a " + at.kind() + ", no dictionary of tensors; in Python, save model.state_dict()"
                : "has no tensors under '" + String.join("' / '", path) + "'");
    }

    private static boolean hasTensors(Py.Dict dict) {
        return dict.values().entrySet().stream()
                .anyMatch(e -> e.getKey() instanceof Py.Text && e.getValue() instanceof Py.Tensor);
    }

    private String next(Py.Dict dict) {
        for (String key : KEYS)
            if (dict.values().get(new Py.Text(key)) instanceof Py.Dict) return key;
        List<String> nested = new ArrayList<>();
        List<String> all = new ArrayList<>();
        dict.values().forEach((key, value) -> {
            String name = key instanceof Py.Text t ? t.value() : key.kind();
            all.add(name + " (" + value.kind() + ")");
            if (key instanceof Py.Text && value instanceof Py.Dict inner && hasTensors(inner)) nested.add(name);
        });
        if (nested.size() == 1) return nested.getFirst();
        throw wrong("has no dictionary of tensors where one is looked for (" + String.join(", ", KEYS) + "); it has "
                + Words.some(all) + ". In Python, save the weights alone");
    }

    private CheckpointException wrong(String what) { return new CheckpointException(source + ": " + what); }
}
