package isthmus.task;

import isthmus.data.Nearest;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import tools.jackson.databind.JsonNode;

/**
 * One object of a recipe's JSON, read strictly: a key that nobody asked for is an error that names the nearest one, a value
 * that does not fit is an error that names key, value and what is allowed.
 */
final class JsonSection {
    private final String path;
    private final JsonNode node;
    private final Set<String> asked = new LinkedHashSet<>();

    /**
     * A section.
     *
     * @param path where it stands, such as {@code optimizer}; empty for the whole
     */
    JsonSection(String path, JsonNode node) {
        this.path = path;
        this.node = node;
        if (!node.isObject()) throw wrong(path.isEmpty() ? "the text" : path, node, "an object, in braces");
    }

    private static IllegalArgumentException wrong(String where, JsonNode value, String allowed) {
        String text = value.toString();
        String shown = text.length() > 80 ? text.substring(0, 77) + "..." : text;
        return new IllegalArgumentException("recipe: " + where + " is " + shown + "; it is " + allowed);
    }

    private String at(String key) { return path.isEmpty() ? key : path + "." + key; }

    boolean has(String key) {
        asked.add(key);
        return node.has(key);
    }

    private JsonNode required(String key) {
        asked.add(key);
        JsonNode v = node.get(key);
        if (v != null) return v;
        String instead = unknown().stream().filter(k -> Nearest.of(k, List.of(key)).isPresent()).findFirst()
                .map(k -> "; \"" + k + "\" is not known, write \"" + key + "\"").orElse("");
        throw new IllegalArgumentException("recipe: " + at(key) + " is missing" + instead);
    }

    /** Keys that have not been asked for so far. */
    private List<String> unknown() {
        return node.propertyNames().stream().filter(k -> !asked.contains(k)).toList();
    }

    private <T> T value(String key, String allowed, Function<JsonNode, Optional<T>> read) {
        JsonNode v = required(key);
        return read.apply(v).orElseThrow(() -> wrong(at(key), v, allowed));
    }

    String text(String key) {
        return value(key, "a text, in quotes", v -> v.isString() ? Optional.of(v.asString()) : Optional.empty());
    }

    String text(String key, String otherwise) { return has(key) ? text(key) : otherwise; }

    /** One of a few words, in capitals or not. */
    String word(String key, String... allowed) {
        String list = String.join(", ", allowed);
        return value(key, "one of " + list, v -> {
            String text = v.isString() ? v.asString().toLowerCase(Locale.ROOT) : "";
            return List.of(allowed).contains(text) ? Optional.of(text) : Optional.empty();
        });
    }

    boolean flag(String key, boolean otherwise) {
        if (!has(key)) return otherwise;
        return value(key, "true or false", v -> v.isBoolean() ? Optional.of(v.asBoolean()) : Optional.empty());
    }

    double number(String key) { return value(key, "a number", JsonSection::finite); }

    double number(String key, double otherwise) { return has(key) ? number(key) : otherwise; }

    private static Optional<Double> finite(JsonNode v) {
        return v.isNumber() && Double.isFinite(v.asDouble()) ? Optional.of(v.asDouble()) : Optional.empty();
    }

    int count(String key) {
        return value(key, "a whole number, 1 or more",
                v -> v.isIntegralNumber() && v.canConvertToInt() && v.asInt() >= 1
                        ? Optional.of(v.asInt())
                        : Optional.empty());
    }

    int count(String key, int otherwise) { return has(key) ? count(key) : otherwise; }

    long whole(String key, long otherwise) {
        if (!has(key)) return otherwise;
        return value(key, "a whole number",
                v -> v.isIntegralNumber() && v.canConvertToLong() ? Optional.of(v.asLong()) : Optional.empty());
    }

    List<Double> numbers(String key, List<Double> otherwise) {
        return has(key) ? list(key, "a list of numbers", JsonSection::finite) : otherwise;
    }

    List<String> texts(String key) {
        return list(key, "a list of texts", v -> v.isString() ? Optional.of(v.asString()) : Optional.empty());
    }

    List<String> texts(String key, List<String> otherwise) { return has(key) ? texts(key) : otherwise; }

    private <T> List<T> list(String key, String allowed, Function<JsonNode, Optional<T>> read) {
        return value(key, allowed, v -> {
            if (!v.isArray()) return Optional.empty();
            List<T> all = new ArrayList<>();
            for (JsonNode each : v)
                read.apply(each).ifPresent(all::add);
            return all.size() == v.size() ? Optional.of(all) : Optional.empty();
        });
    }

    /** Whole numbers by name, one or a list each. */
    Map<String, List<Integer>> wholeNumbers(String key) {
        Map<String, List<Integer>> all = new java.util.TreeMap<>();
        if (!has(key)) return all;
        JsonSection inner = section(key);
        for (String name : inner.unknown()) {
            JsonNode v = inner.required(name);
            List<JsonNode> each = v.isArray() ? v.valueStream().toList() : List.of(v);
            if (each.isEmpty() || !each.stream().allMatch(n -> n.isIntegralNumber() && n.canConvertToInt()))
                throw wrong(inner.at(name), v, "a whole number or a list of them");
            all.put(name, each.stream().map(JsonNode::asInt).toList());
        }
        return all;
    }

    /** An object inside this one. */
    JsonSection section(String key) { return new JsonSection(at(key), required(key)); }

    /** Whether the value is a list. */
    boolean isList(String key) { return has(key) && node.get(key).isArray(); }

    /** Objects in a list; none where the key is missing. */
    List<JsonSection> sections(String key) {
        if (!has(key)) return List.of();
        JsonNode v = required(key);
        if (!v.isArray()) throw wrong(at(key), v, "a list of objects");
        List<JsonSection> all = new ArrayList<>();
        for (JsonNode each : v)
            all.add(new JsonSection(at(key) + "[" + all.size() + "]", each));
        return all;
    }

    /** To be called when everything was asked for. */
    void end() {
        for (String key : unknown()) {
            List<String> known = List.copyOf(asked);
            throw new IllegalArgumentException("recipe: " + at(key) + " is not known"
                    + Nearest.of(key, known).map(n -> "; did you mean \"" + n + "\"?")
                            .orElse("; there are " + String.join(", ", known)));
        }
    }
}
