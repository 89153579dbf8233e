package isthmus.reference;

import isthmus.tensor.Shape;
import java.nio.file.Path;
import java.util.stream.IntStream;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/** One reference case, as its JSON file says. */
record Case(String name, JsonNode json, Fill fill) {
    static Case read(Path file) {
        JsonNode json = new ObjectMapper().readTree(file);
        return new Case(json.path("case").asString(""), json, new Fill(json.path("salt").asString("")));
    }

    String kind() { return json.path("kind").asString(""); }

    JsonNode attrs() { return json.get("attrs"); }

    JsonNode expect() { return json.get("expect"); }

    /** An attribute that is one number for all axes or a list. */
    java.util.List<Integer> perAxis(String key, int axes) {
        JsonNode v = attrs().get(key);
        return IntStream.range(0, axes).mapToObj(i -> v.isArray() ? v.get(i).asInt() : v.asInt()).toList();
    }

    static Shape shape(JsonNode list) {
        return Shape.of(IntStream.range(0, list.size()).map(i -> list.get(i).asInt()).toArray());
    }

    static double[] numbers(JsonNode list) {
        return IntStream.range(0, list.size()).mapToDouble(i -> list.get(i).asDouble()).toArray();
    }
}
