package isthmus.onnx;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.StringStringEntryProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.TensorShapeProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import isthmus.graph.Graph;
import isthmus.nn.Model;
import isthmus.op.Cast;
import isthmus.op.Flatten;
import isthmus.op.Kind;
import isthmus.op.Linear;
import isthmus.op.Relu;
import isthmus.op.Spec;
import isthmus.op.Value;
import isthmus.tensor.Region;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import isthmus.tensor.WeightTable;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The files parse back with the right names, shapes, weights and facts, and broken graphs are refused. */
class OnnxExporterTest {
    private static final OnnxFacts FACTS = new OnnxFacts(OnnxFacts.Decision.SIGMOID,
            List.of("Pneumonia", "No \"other\""),
            "{\"size\":32}", Map.of("rounds", "3", "commit", "abc"), "isthmus", "0.1.0");

    @TempDir
    Path folder;

    private ModelProto export(Model model, String name) throws IOException { return export(model, name, FACTS); }

    private ModelProto export(Model model, String name, OnnxFacts facts) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            WeightBuffer weights = WeightBuffer.allocate(model.table(), arena);
            model.initialize(weights, 3);
            Path file = folder.resolve(name);
            OnnxExporter.write(file, model, weights, facts);
            ModelProto read = ModelProto.parseFrom(Files.readAllBytes(file));
            for (TensorProto t : read.getGraph().getInitializerList()) {
                WeightTable.Entry e = model.table().entry(t.getName());
                assertEquals(e.shape(),
                        Shape.of(t.getDimsList().stream().mapToInt(Long::intValue).toArray()), e.name());
                assertArrayEquals(weights.slice(e).toArray(java.lang.foreign.ValueLayout.JAVA_BYTE),
                        t.getRawData().toByteArray(), e.name());
            }
            return read;
        }
    }

    @Test
    void everyNetworkParsesBack() throws IOException {
        for (String name : Zoo.names()) {
            boolean boxes = name.equals("retinanet3d");
            boolean volume = boxes || name.equals("segresnet");
            Model model = Zoo.model(name, volume ? Shape.of(1, 32, 32, 16) : Shape.of(3, 32, 32), 2,
                    ModelOptions.dropout(0.2));
            OnnxFacts facts = boxes
                    ? new OnnxFacts(OnnxFacts.Decision.BOXES, List.of("nodule"), "{}", Map.of(), "isthmus", "0.1.0")
                    : FACTS;
            ModelProto onnx = export(model, name + ".onnx", facts);
            GraphProto g = onnx.getGraph();
            assertEquals(8, onnx.getIrVersion());
            assertEquals(17, onnx.getOpsetImport(0).getVersion());
            assertEquals("", onnx.getOpsetImport(0).getDomain());
            assertEquals(List.of("image batch " + axes(model.image())),
                    g.getInputList().stream().map(OnnxExporterTest::text).toList());
            String logits = "logits batch " + axes(model.output());
            assertEquals(boxes ? List.of(logits) : List.of(logits, logits.replace("logits", "probabilities")),
                    g.getOutputList().stream().map(OnnxExporterTest::text).toList());
            assertEquals(model.table().entries().stream().map(WeightTable.Entry::name).collect(Collectors.toSet()),
                    g.getInitializerList().stream().map(TensorProto::getName).collect(Collectors.toSet()));
            assertWired(g);
        }
    }

    private static String axes(Shape shape) { return shape.toString().replace('x', ' '); }

    /** Every name is made before it is read, and made once; nothing idle is left. */
    private static void assertWired(GraphProto g) {
        Set<String> known = new HashSet<>();
        g.getInputList().forEach(v -> known.add(v.getName()));
        g.getInitializerList().forEach(t -> known.add(t.getName()));
        for (NodeProto n : g.getNodeList()) {
            assertFalse(Set.of("Identity", "Cast", "Dropout").contains(n.getOpType()), n.getName());
            // An input left out has no name.
            n.getInputList()
                    .forEach(in -> assertTrue(in.isEmpty() || known.contains(in), () -> n.getName() + " reads " + in));
            n.getOutputList().forEach(out -> assertTrue(known.add(out), () -> out + " is made twice"));
        }
        g.getOutputList().forEach(v -> assertTrue(known.contains(v.getName()), v.getName()));
    }

    private static String text(ValueInfoProto v) {
        return v.getName() + " " + v.getType().getTensorType().getShape().getDimList().stream()
                .map(d -> d.getValueCase() == TensorShapeProto.Dimension.ValueCase.DIM_PARAM
                        ? d.getDimParam()
                        : Long.toString(d.getDimValue()))
                .collect(Collectors.joining(" "));
    }

    @Test
    void theFileSaysWhatItIs() throws IOException {
        ModelProto onnx = export(Zoo.model("xraynet", Shape.of(1, 32, 32), 2, ModelOptions.dropout(0.2)), "facts.onnx");
        assertEquals("isthmus", onnx.getProducerName());
        assertEquals("0.1.0", onnx.getProducerVersion());
        assertEquals("xraynet", onnx.getGraph().getName());
        Map<String, String> metadata = onnx.getMetadataPropsList().stream()
                .collect(Collectors.toMap(StringStringEntryProto::getKey, StringStringEntryProto::getValue));
        assertEquals(Map.of("isthmus.labels", "[\"Pneumonia\",\"No \\\"other\\\"\"]", "isthmus.preprocessing",
                "{\"size\":32}", "isthmus.decision", "sigmoid", "isthmus.opset", "17", "isthmus.provenance.rounds", "3",
                "isthmus.provenance.commit", "abc"), metadata);
    }

    @Test
    void equalModelsGiveEqualBytesAndLeaveNoTemporaryFiles() throws IOException {
        Model model = Zoo.model("resnet34", Shape.of(3, 32, 32), 2, ModelOptions.DEFAULT);
        export(model, "a.onnx");
        export(Zoo.model("resnet34", Shape.of(3, 32, 32), 2, ModelOptions.DEFAULT), "b.onnx");
        assertEquals(-1, Files.mismatch(folder.resolve("a.onnx"), folder.resolve("b.onnx")));
        try (Stream<Path> files = Files.list(folder)) {
            assertEquals(2, files.count());
        }
    }

    @Test
    void aTrainingGraphIsRefusedByOpAndPlaceAndTheOldFileStays() throws IOException {
        Model model = Zoo.model("xraynet", Shape.of(1, 32, 32), 2, ModelOptions.dropout(0.2));
        export(model, "kept.onnx");
        byte[] before = Files.readAllBytes(folder.resolve("kept.onnx"));
        try (Arena arena = Arena.ofConfined()) {
            WeightBuffer weights = WeightBuffer.allocate(model.table(), arena);
            OnnxException e = assertThrows(OnnxException.class,
                    () -> OnnxExporter.write(folder.resolve("kept.onnx"), "x", model.graph(1, true), weights, FACTS));
            assertTrue(e.getMessage().contains("stem.bn") && e.getMessage().contains("channel_statistics"),
                    e.getMessage());
        }
        assertArrayEquals(before, Files.readAllBytes(folder.resolve("kept.onnx")));
    }

    @Test
    void labelsMustFitTheOutputs() {
        Model model = Zoo.model("xraynet", Shape.of(1, 32, 32), 3, ModelOptions.DEFAULT);
        try (Arena arena = Arena.ofConfined()) {
            WeightBuffer weights = WeightBuffer.allocate(model.table(), arena);
            OnnxException e = assertThrows(OnnxException.class,
                    () -> OnnxExporter.write(folder.resolve("x.onnx"), model, weights, FACTS));
            assertTrue(e.getMessage().contains("3 outputs") && e.getMessage().contains("2 labels"), e.getMessage());
        }
        assertFalse(Files.exists(folder.resolve("x.onnx")));
    }

    /** A value read by two outputs, and an input that is an output, keep working: the second name is a copy. */
    @Test
    void oneValueMayBeSeveralOutputs() throws IOException {
        Graph graph = new Graph();
        Value x = graph.input("image", new Spec(Shape.of(1, 2, 1, 1), Kind.FLOAT));
        Value y = graph.apply("a", new Relu(), graph.apply("a", new Flatten(), x).getFirst()).getFirst();
        graph.output("logits", graph.apply("a", new Cast(Kind.FLOAT), y).getFirst());
        graph.output("again", y);
        graph.output("same", x);
        try (Arena arena = Arena.ofConfined()) {
            Path file = folder.resolve("several.onnx");
            OnnxExporter.write(file, "several", graph, WeightBuffer.allocate(graph.table(), arena), FACTS);
            GraphProto g = ModelProto.parseFrom(Files.readAllBytes(file)).getGraph();
            assertEquals(
                    List.of("Flatten image -> a/flatten", "Relu a/flatten -> logits", "Identity logits -> again",
                            "Identity image -> same", "Sigmoid logits -> probabilities"),
                    g.getNodeList().stream().map(n -> n.getOpType() + " " + n.getInput(0) + " -> " + n.getOutput(0))
                            .toList());
        }
    }

    /** The weights are a hole in a file, so that nothing of that size is ever held. */
    @Test
    void weightsThatOneFileCannotHoldAreRefused() throws IOException {
        Graph graph = new Graph();
        Value x = graph.input("image", new Spec(Shape.of(1, 8, 1, 1), Kind.FLOAT));
        Value flat = graph.apply("fc", new Flatten(), x).getFirst();
        Value w = graph.parameter("fc.weight", Shape.of(70_000_000, 8), Region.TRAINABLE);
        graph.output("logits", graph.apply("fc", new Linear(true, false), flat, w,
                graph.parameter("fc.bias", Shape.of(70_000_000), Region.TRAINABLE)).getFirst());
        Path hole = folder.resolve("hole");
        OnnxFacts boxes = new OnnxFacts(OnnxFacts.Decision.BOXES, List.of("box"), "", Map.of(), "isthmus", "test");
        try (Arena arena = Arena.ofConfined();
                FileChannel file = FileChannel.open(hole, StandardOpenOption.CREATE_NEW, StandardOpenOption.READ,
                        StandardOpenOption.WRITE, StandardOpenOption.SPARSE)) {
            WeightTable table = graph.table();
            WeightBuffer weights = new WeightBuffer(table,
                    file.map(FileChannel.MapMode.READ_WRITE, 0, table.bytes(), arena));
            Path out = folder.resolve("large.onnx");
            OnnxException e = assertThrows(OnnxException.class,
                    () -> OnnxExporter.write(out, "large", graph, weights, boxes));
            assertTrue(e.getMessage().contains("2520000000 bytes") && e.getMessage().contains("2 GiB")
                    && e.getMessage().contains("fp16"), e.getMessage());
            assertFalse(Files.exists(out));
        }
    }
}
