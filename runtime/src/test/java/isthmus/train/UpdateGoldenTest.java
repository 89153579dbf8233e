package isthmus.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.tensor.Region;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import isthmus.tensor.WeightTable;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * Parameter groups, schedule, clip schedule, averages and loss scaling together against what PyTorch did in float64
 * ({@code make_golden.py} beside the numbers made them).
 */
class UpdateGoldenTest {
    private static final List<ParameterGroup> GROUPS = List.of(ParameterGroup.of("fc", 12),
            new ParameterGroup("conv1", 2.5, OptionalDouble.of(0)), ParameterGroup.of("*", 0.12));
    private static final Clip CLIP = new Clip(List.of(new Clip.Phase(0.3, 3), new Clip.Phase(1, 1.5)));
    private static final Schedule SCHEDULE = new Schedule(0.3, 0.1);

    private static JsonNode golden() throws IOException {
        try (InputStream in = UpdateGoldenTest.class.getResourceAsStream("/train/golden.json")) {
            return JsonMapper.shared().readTree(in);
        }
    }

    private static OptimizerSpec spec(String name) {
        return switch (name) {
            case "adam" -> new OptimizerSpec.Adam(1e-2, 0.8, 0.95, 1e-6, 1e-2, false, true);
            case "adamw" -> new OptimizerSpec.Adam(1e-2, 0.9, 0.999, 1e-8, 1e-1, true, false);
            default -> new OptimizerSpec.Sgd(1e-2, 0.9, true, 1e-2);
        };
    }

    @ParameterizedTest
    @ValueSource(strings = {"adam", "adamw", "sgd"})
    void agreesWithPyTorch(String name) throws IOException {
        JsonNode expected = golden().get(name);
        WeightTable table = table(golden().get("names"));
        try (Arena arena = Arena.ofConfined(); Backend backend = Backends.cpu(1)) {
            WeightBuffer weights = WeightBuffer.allocate(table, arena);
            WeightBuffer gradients = WeightBuffer.allocate(table, arena);
            fill(weights, 0, 1);
            var optimizer = new Optimizer(spec(name), GROUPS, weights, gradients, backend, arena);
            var average = new WeightAverage(new Ema(0.9, false), weights, backend, arena);
            average.begin();
            int steps = expected.get("params").size();
            for (int s = 0; s < steps; s++) {
                fill(gradients, 100 * s, 1 + s / 4.0);
                optimizer.step(SCHEDULE.factor(s, steps), CLIP.at(s, steps), 1, false);
                average.step();
                assertEquals(expected.get("norms").get(s).asDouble(), optimizer.norm(), 1e-5);
                close(name + " step " + s, expected.get("params").get(s), weights);
                close(name + " average after step " + s, expected.get("ema").get(s), average.average());
            }
        }
    }

    /** Gradients that are too large by a known factor, as of a scaled loss or a sum of batches, give the same steps. */
    @Test
    void dividesByHowManyTimesTooLargeGradientsAre() throws IOException {
        JsonNode expected = golden().get("adam").get("params");
        WeightTable table = table(golden().get("names"));
        try (Arena arena = Arena.ofConfined(); Backend backend = Backends.cpu(1)) {
            WeightBuffer weights = WeightBuffer.allocate(table, arena);
            WeightBuffer gradients = WeightBuffer.allocate(table, arena);
            fill(weights, 0, 1);
            var optimizer = new Optimizer(spec("adam"), GROUPS, weights, gradients, backend, arena);
            for (int s = 0; s < expected.size(); s++) {
                fill(gradients, 100 * s, 4096 * (1 + s / 4.0));
                optimizer.step(SCHEDULE.factor(s, 10), CLIP.at(s, 10), 4096, true);
                close("step " + s, expected.get(s), weights);
            }
        }
    }

    @Test
    void scaleFollowsPyTorchs() throws IOException {
        JsonNode expected = golden().get("scaler");
        var scaler = new LossScaler(new LossScaling(1024, 2, 0.5, 3));
        String pattern = expected.get("pattern").asString();
        assertFalse(pattern.isEmpty());
        for (int i = 0; i < pattern.length(); i++) {
            if (pattern.charAt(i) == 'g') scaler.good();
            else
                scaler.bad(i);
            assertEquals(expected.get("scales").get(i).asDouble(), scaler.scale(), 0, "after step " + i);
        }
    }

    private static WeightTable table(JsonNode names) {
        WeightTable.Builder table = WeightTable.builder();
        for (Map.Entry<String, JsonNode> e : names.properties()) {
            int[] dims = new int[e.getValue().size()];
            for (int i = 0; i < dims.length; i++)
                dims[i] = e.getValue().get(i).asInt();
            table.add(e.getKey(), Shape.of(dims), Region.TRAINABLE);
        }
        return table.build();
    }

    /** {@code scale * sin(0.37 i + k)}, k counting parameters. */
    private static void fill(WeightBuffer buffer, int first, double scale) {
        int k = first;
        for (WeightTable.Entry e : buffer.table().entries()) {
            MemorySegment at = buffer.slice(e);
            for (int i = 0; i < e.elements(); i++)
                at.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) (Math.sin(0.37 * i + k) * scale));
            k++;
        }
    }

    private static void close(String what, JsonNode expected, WeightBuffer got) {
        assertEquals(expected.size(), got.table().elements(), what);
        for (int i = 0; i < expected.size(); i++) {
            double e = expected.get(i).asDouble();
            assertEquals(e, got.segment().getAtIndex(ValueLayout.JAVA_FLOAT, i), 1e-5 * Math.max(0.1, Math.abs(e)),
                    what + " at " + i);
        }
    }
}
