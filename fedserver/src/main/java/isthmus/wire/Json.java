package isthmus.wire;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.PropertyNamingStrategies;
import tools.jackson.databind.exc.UnrecognizedPropertyException;
import tools.jackson.databind.exc.ValueInstantiationException;
import tools.jackson.databind.json.JsonMapper;

/**
 * Strict JSON for records: snake_case keys; unknown or doubled keys, trailing text and nulls for numbers are refused, an
 * unknown key with the nearest known one. Depth, text and number lengths are bounded. Safe for use by many threads.
 */
public final class Json {
    /** Longest document that {@link #read} takes, in bytes. */
    public static final int MAX_BYTES = 1 << 20;

    private static final JsonMapper MAPPER = JsonMapper
            .builder(JsonFactory.builder()
                    .streamReadConstraints(StreamReadConstraints.builder().maxNestingDepth(32).maxNumberLength(64)
                            .maxStringLength(MAX_BYTES).maxDocumentLength(MAX_BYTES).build())
                    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build())
            .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
            .enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .enable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES)
            .disable(DeserializationFeature.ACCEPT_FLOAT_AS_INT).build();

    private Json() {}

    /**
     * Reads one record.
     *
     * @param where named in errors: a file, or the message it came in
     * @throws RefusalException with error {@code bad_json} or {@code unknown_key}
     */
    public static <T> T read(byte[] json, Class<T> type, String where) {
        if (json.length > MAX_BYTES)
            throw RefusalException.bad("too_large", "JSON of " + json.length + " bytes; at most " + MAX_BYTES, where,
                    "send less");
        try {
            T value = MAPPER.readValue(json, type);
            if (value == null)
                throw RefusalException.bad("bad_json", "nothing but null", where, "send a JSON object");
            return value;
        } catch (UnrecognizedPropertyException e) {
            throw unknownKey(e, where);
        } catch (ValueInstantiationException e) {
            misspelt(json, e, where);
            String what = e.getCause() == null ? e.getOriginalMessage() : e.getCause().getMessage();
            throw RefusalException.bad("bad_value", what, where, "correct this value");
        } catch (JacksonException e) {
            throw RefusalException.bad("bad_json", e.getOriginalMessage(), where + place(e), "correct the JSON");
        }
    }

    /** Line, column and keys that lead to a problem, as far as the parser knows them. */
    private static String place(JacksonException e) {
        StringBuilder place = new StringBuilder();
        var at = e.getLocation();
        if (at != null && at.getLineNr() >= 1)
            place.append(", line ").append(at.getLineNr()).append(" column ").append(at.getColumnNr());
        for (var step : e.getPath())
            place.append(step.getPropertyName() == null ? "" : ", key " + step.getPropertyName());
        return place.toString();
    }

    /** Reads one record from a file of at most {@link #MAX_BYTES}; the errors of {@link #read(byte[], Class, String)}. */
    public static <T> T read(Path file, Class<T> type) throws IOException {
        long size = Files.size(file);
        if (size > MAX_BYTES)
            throw RefusalException.bad("too_large", "JSON of " + size + " bytes; at most " + MAX_BYTES, file.toString(),
                    "is this the right file?");
        return read(Files.readAllBytes(file), type, file.toString());
    }

    /** One line of JSON, UTF-8, keys in the record's order. */
    public static byte[] bytes(Object value) {
        return MAPPER.writeValueAsBytes(value);
    }

    /** Indented JSON with a final newline, for files that people read. */
    public static byte[] pretty(Object value) {
        return (MAPPER.writerWithDefaultPrettyPrinter().writeValueAsString(value) + "\n")
                .getBytes(StandardCharsets.UTF_8);
    }

    /** One line of JSON. */
    public static String text(Object value) { return MAPPER.writeValueAsString(value); }

    /** A key that is missing is often there under a wrong name, and the parser meets the record's own check first. */
    private static void misspelt(byte[] json, ValueInstantiationException e, String where) {
        JsonNode node = tree(json);
        for (var step : e.getPath())
            node = step.getPropertyName() == null ? node.path(step.getIndex()) : node.path(step.getPropertyName());
        Class<?> type = e.getType().getRawClass();
        if (!type.isRecord())
            return;
        List<String> known = Arrays.stream(type.getRecordComponents()).map(c -> snakeCase(c.getName())).sorted()
                .toList();
        for (String key : node.propertyNames()) {
            if (known.contains(key))
                continue;
            String text = new String(json, StandardCharsets.UTF_8);
            long line = text.substring(0, Math.max(0, text.indexOf('"' + key + '"'))).lines().count();
            throw RefusalException.bad("unknown_key", "unknown key \"" + key + "\"",
                    where + ", line " + Math.max(1, line),
                    NearestName.of(key, known));
        }
    }

    /** JSON's null as Java's, so that "left out" and "null" are the same. */
    static JsonNode orNull(JsonNode node) {
        return node == null || node.isNull() ? null : node;
    }

    private static JsonNode tree(byte[] json) {
        try {
            return MAPPER.readTree(json);
        } catch (JacksonException e) {
            // The text behind the record is broken, too; the record's own complaint is the first one.
            return MAPPER.missingNode();
        }
    }

    private static String snakeCase(String name) { return name.replaceAll("([A-Z])", "_$1").toLowerCase(Locale.ROOT); }

    private static RefusalException unknownKey(UnrecognizedPropertyException e, String where) {
        Collection<Object> known = e.getKnownPropertyIds();
        String near = NearestName.of(e.getPropertyName(), known.stream().map(Object::toString).sorted().toList());
        var at = e.getLocation();
        String place = at == null || at.getLineNr() < 1 ? "" : ", line " + at.getLineNr();
        return RefusalException.bad("unknown_key", "unknown key \"" + e.getPropertyName() + "\"", where + place, near);
    }
}
