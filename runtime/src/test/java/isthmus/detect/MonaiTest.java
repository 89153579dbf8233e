package isthmus.detect;

import static isthmus.detect.MonaiNumbers.AXES;
import static isthmus.detect.MonaiNumbers.FILL;
import static isthmus.detect.MonaiNumbers.floats;
import static isthmus.detect.MonaiNumbers.integers;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.backend.Precision;
import isthmus.graph.Gradients;
import isthmus.graph.Graph;
import isthmus.graph.Program;
import isthmus.nn.Adaptation;
import isthmus.nn.Model;
import isthmus.nn.Network;
import isthmus.nn.Scope;
import isthmus.op.DetectionLoss;
import isthmus.op.MapLayout;
import isthmus.op.Value;
import isthmus.op.Window;
import isthmus.tensor.ChannelsLast;
import isthmus.tensor.DType;
import isthmus.tensor.Region;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import isthmus.train.Loss;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

/** Anchors, matching, codes, suppression, selection, loss and windows give MONAI's own numbers. */
class MonaiTest {
    private static final int CODES = 2 * AXES;
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT;

    private final MonaiNumbers monai = new MonaiNumbers();
    private final MapLayout layout = monai.layout;

    @Test
    void anchors() {
        JsonNode expected = monai.json.get("anchors");
        assertEquals(expected.get("count").asInt(), monai.anchors.count());
        assertEquals(monai.anchors.count(), layout.total());
        float[] all = new float[monai.anchors.count() * CODES];
        for (int i = 0; i < monai.anchors.count(); i++)
            monai.anchors.box(i, all, i * CODES);
        List<Integer> some = integers(expected.get("some"));
        float[] boxes = floats(expected.get("boxes"));
        for (int i = 0; i < some.size(); i++)
            assertArrayEquals(Arrays.copyOfRange(boxes, i * CODES, (i + 1) * CODES),
                    Arrays.copyOfRange(all, some.get(i) * CODES, (some.get(i) + 1) * CODES), "anchor " + some.get(i));
        MonaiNumbers.assertPrint(expected.get("print"), "anchors/probe", all, 1e-9);
    }

    @Test
    void matching() {
        for (JsonNode c : monai.json.get("atss")) {
            AtssMatcher matcher = new AtssMatcher(monai.anchors, c.get("candidates").asInt(),
                    c.get("centre_in_box").asBoolean());
            int matched = matcher.match(monai.boxes, monai.labels.length);
            TreeMap<Integer, Integer> got = new TreeMap<>();
            for (int i = 0; i < matched; i++)
                got.put(matcher.anchor(i), matcher.box(i));
            TreeMap<Integer, Integer> expected = new TreeMap<>();
            c.get("pairs").forEach(p -> expected.put(p.get(0).asInt(), p.get(1).asInt()));
            assertEquals(expected, got, c.get("candidates") + " candidates");
        }
    }

    @Test
    void boxCodes() {
        for (JsonNode c : monai.json.get("coder")) {
            BoxCoder coder = new BoxCoder(c.get("weights").valueStream().map(JsonNode::asDouble).toList());
            int n = c.get("pairs").size();
            float[] codes = floats(c.get("codes"));
            float[] anchor = new float[CODES];
            float[] encoded = new float[n * CODES];
            float[] decoded = new float[n * CODES];
            for (int i = 0; i < n; i++) {
                monai.anchors.box(c.get("pairs").get(i).get(0).asInt(), anchor, 0);
                coder.encode(monai.boxes, c.get("pairs").get(i).get(1).asInt() * CODES, anchor, 0, encoded, i * CODES);
                coder.decode(codes, i * CODES, anchor, 0, decoded, i * CODES);
            }
            assertArrayEquals(floats(c.get("encoded")), encoded, 1e-6f);
            assertArrayEquals(floats(c.get("decoded")), decoded, 1e-4f);
        }
    }

    @Test
    void suppression() {
        JsonNode c = monai.json.get("nms");
        float[] boxes = floats(c.get("boxes"));
        float[] scores = floats(c.get("scores"));
        List<Integer> kinds = integers(c.get("kinds"));
        for (JsonNode kept : c.get("kept")) {
            Detections d = new Detections(AXES);
            for (int i = 0; i < scores.length; i++)
                d.add(boxes, i * CODES, scores[i], kinds.get(i));
            d.suppress(kept.get("overlap").floatValue(), kept.get("most").asInt());
            assertEquals(kept.get("indices").size(), d.size());
            for (int i = 0; i < d.size(); i++) {
                int index = kept.get("indices").get(i).asInt();
                assertEquals(scores[index], d.score(i));
                assertEquals(kinds.get(index), d.kind(i));
                assertEquals(boxes[index * CODES], d.corner(i, false, 0));
                assertEquals(boxes[index * CODES + 5], d.corner(i, true, 2));
            }
        }
    }

    /** A network of no layers, for the detector to ask about its maps. */
    private record Maps(MapLayout layout) implements Network {
        @Override
        public Value forward(Scope s, Value x) { return s.logits(s.flatten(x)); }

        @Override
        public Optional<MapLayout> maps(Shape image) { return Optional.of(layout); }
    }

    private Detector detector(DetectionSettings settings) {
        List<Integer> image = monai.anchors.image();
        return new Detector(new Model("maps", new Maps(layout), Shape.of(1, image.get(0), image.get(1), image.get(2)),
                Adaptation.NONE), settings);
    }

    private static DetectionSettings settings(DetectionLoss.Sampling sampling, BoxSelection selection) {
        return new DetectionSettings(AnchorShapes.LUNA16, 4, false, BoxCoder.plain(AXES), sampling, 1.0 / 9, 1, 1,
                selection, 8);
    }

    @Test
    void selection() {
        JsonNode c = monai.json.get("select");
        BoxSelection selection = new BoxSelection(c.get("score").floatValue(), c.get("per_level").asInt(),
                c.get("overlap").floatValue(), c.get("per_image").asInt());
        Detections found = new Detections(AXES);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment maps = arena.allocateFrom(F32, monai.maps("select/maps", 1));
            detector(settings(DetectionSettings.LUNA16.sampling(), selection)).decode(maps, 0, found);
        }
        assertEquals(c.get("scores").size(), found.size());
        for (int i = 0; i < found.size(); i++) {
            assertEquals(c.get("scores").get(i).asDouble(), found.score(i), 1e-6, "score " + i);
            assertEquals(c.get("labels").get(i).asInt(), found.kind(i), "class " + i);
            for (int k = 0; k < CODES; k++)
                assertEquals(c.get("boxes").get(i * CODES + k).asDouble(), found.corner(i, k >= AXES, k % AXES), 1e-4,
                        "box " + i);
        }
    }

    @Test
    void loss() {
        JsonNode c = monai.json.get("loss");
        DetectionLoss.Sampling sampling = new DetectionLoss.Sampling(c.get("samples").asInt(),
                c.get("positive_fraction").asDouble(), c.get("least_negatives").asInt(), 1);
        Detector detector = detector(settings(sampling, BoxSelection.LUNA16));
        Graph graph = new Graph();
        detector.loss().attach(graph,
                graph.parameter("maps", Shape.of(2, layout.length()), Region.TRAINABLE));
        Gradients.append(graph, Loss.LOSS);
        try (Arena arena = Arena.ofConfined(); Backend backend = Backends.cpu(2)) {
            WeightBuffer weights = WeightBuffer.allocate(graph.table(), arena);
            WeightBuffer gradients = WeightBuffer.allocate(graph.table(), arena);
            MemorySegment.copy(monai.maps("loss/maps", 2), 0, weights.segment(), F32, 0, 2 * layout.length());
            try (Program program = Program.compile(graph, backend, Precision.FP32, weights, gradients)) {
                backend.enter();
                MemorySegment targets = program.input(Loss.LABELS);
                assertEquals(c.get("matched").asInt(),
                        detector.targets(targets, 0, monai.boxes, monai.labels, c.get("objects").asInt()));
                assertEquals(0, detector.targets(targets, 1, new float[0], new int[0], 0));
                program.run();
                double expected = c.get("classification").asDouble() + c.get("box_regression").asDouble();
                assertEquals(expected, program.output(Loss.LOSS).get(F32, 0), 1e-5);
                MonaiNumbers.assertPrint(c.get("gradient"), "loss/probe", gradients.segment().toArray(F32), 1e-5);
            }
        }
    }

    /** A convolution whose zero padding makes every window's border differ from its middle. */
    private record Blur() implements Network {
        @Override
        public Value forward(Scope s, Value x) { return s.logits(s.conv("c", x, 2, Window.of(AXES, 3, 1, 1), true)); }
    }

    @Test
    void slidingWindows() {
        for (JsonNode c : monai.json.get("windows")) {
            List<Integer> volume = integers(c.get("volume"));
            List<Integer> window = integers(c.get("window"));
            Shape image = Shape.of(1, window.get(0), window.get(1), window.get(2));
            Model model = new Model("blur", new Blur(), image, Adaptation.NONE);
            int positions = volume.stream().reduce(1, (a, b) -> a * b);
            try (Arena arena = Arena.ofConfined(); Backend backend = Backends.cpu(2)) {
                WeightBuffer weights = WeightBuffer.allocate(model.table(), arena);
                weights.slice("c.weight").copyFrom(MemorySegment.ofArray(
                        FILL.values("window/weight", Shape.of(2, 1, 3, 3, 3), 1)));
                weights.slice("c.bias").copyFrom(MemorySegment.ofArray(FILL.values("window/bias", Shape.of(2), 1)));
                MemorySegment in = arena.allocateFrom(F32, FILL.values("window/volume", Shape.of(positions), 1));
                MemorySegment out = arena.allocate(2L * positions * Float.BYTES, 64);
                try (VolumeInference inference = new VolumeInference(model, weights, 3, c.get("overlap").asDouble(),
                        Precision.FP32, backend)) {
                    backend.enter();
                    inference.segment(in, volume, out);
                }
                float[] got = ChannelsLast.unpack(out, Shape.of(1, 2, volume.get(0), volume.get(1), volume.get(2)),
                        DType.F32);
                float[] first = floats(c.get("first"));
                float[] second = IntStream.range(0, 16).collect(() -> new float[16],
                        (a, i) -> a[i] = got[i / 8 * positions + i % 8], (a, b) -> {});
                assertArrayEquals(first, second, 1e-5f);
                MonaiNumbers.assertPrint(c.get("print"), "window/probe", got, 1e-6);
            }
        }
    }
}
