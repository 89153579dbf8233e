package isthmus.detect;

import static org.junit.jupiter.api.Assertions.assertEquals;

import isthmus.op.MapLayout;
import isthmus.reference.Fill;
import isthmus.tensor.Shape;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/** What MONAI computed, from {@code monai.json}, which {@code make_monai.py} beside it wrote. */
final class MonaiNumbers {
    static final Fill FILL = new Fill("");
    static final int AXES = 3;

    final JsonNode json;
    final MapLayout layout;
    final Anchors anchors;
    final float[] boxes;
    final int[] labels;

    MonaiNumbers() {
        try (InputStream in = MonaiNumbers.class.getResourceAsStream("monai.json")) {
            json = new ObjectMapper().readTree(in.readAllBytes());
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
        List<List<Integer>> levels = new ArrayList<>();
        json.get("levels").forEach(l -> levels.add(integers(l)));
        List<List<Integer>> shapes = new ArrayList<>();
        json.get("shapes").forEach(l -> shapes.add(integers(l)));
        layout = new MapLayout(levels, shapes.size(), json.get("classes").asInt());
        anchors = new Anchors(layout, integers(json.get("image")),
                new AnchorShapes(shapes, integers(json.get("scales"))));
        boxes = floats(json.get("boxes"));
        labels = integers(json.get("labels")).stream().mapToInt(n -> n).toArray();
    }

    static List<Integer> integers(JsonNode list) {
        List<Integer> all = new ArrayList<>();
        list.forEach(n -> all.add(n.asInt()));
        return all;
    }

    static float[] floats(JsonNode list) {
        float[] all = new float[list.size()];
        for (int i = 0; i < all.length; i++)
            all[i] = list.get(i).floatValue();
        return all;
    }

    /** The joined maps of a batch: class logits up to 3, box codes up to a half. */
    float[] maps(String name, int batch) {
        float[] maps = FILL.values(name, Shape.of(batch, layout.length()), 1);
        int logits = layout.total() * layout.classes();
        for (int i = 0; i < maps.length; i++)
            maps[i] *= i % layout.length() < logits ? 3 : 0.5f;
        return maps;
    }

    /** Length, and product with the probe of that name, within a share of the length. */
    static void assertPrint(JsonNode expected, String probe, float[] got, double share) {
        float[] p = FILL.values(probe, Shape.of(got.length), 1);
        double squares = 0;
        double dot = 0;
        for (int i = 0; i < got.length; i++) {
            squares += (double) got[i] * got[i];
            dot += (double) got[i] * p[i];
        }
        double norm = expected.get("norm").asDouble();
        assertEquals(norm, Math.sqrt(squares), share * norm, probe);
        assertEquals(expected.get("dot").asDouble(), dot, share * norm, probe);
    }
}
