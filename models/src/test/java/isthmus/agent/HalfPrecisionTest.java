package isthmus.agent;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.data.Preprocess;
import isthmus.graph.Fuse;
import isthmus.graph.Graph;
import isthmus.nn.Model;
import isthmus.onnx.OnnxException;
import isthmus.onnx.OnnxExporter;
import isthmus.onnx.OnnxFacts;
import isthmus.op.Activation;
import isthmus.op.Add;
import isthmus.op.Cast;
import isthmus.op.Conv;
import isthmus.op.Flatten;
import isthmus.op.Kind;
import isthmus.op.Normalize;
import isthmus.op.Op;
import isthmus.op.Spec;
import isthmus.op.Value;
import isthmus.op.Window;
import isthmus.tensor.DType;
import isthmus.tensor.Region;
import isthmus.tensor.Shape;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Files in half precision: float32 outside, float16 inside where that is safe, no variance left, results near float32's. */
class HalfPrecisionTest {
    private static final int BATCH = 3;
    private static final int SIDE = 8;

    @TempDir
    Path folder;

    private Exported exported(Graph graph, Preprocess p) {
        return new Exported(folder.resolve("half.onnx"), graph, p, OnnxFacts.Decision.SOFTMAX, DType.F16);
    }

    @ParameterizedTest
    @CsvSource({"convnet2, 1, 32", "xraynet, 3, 33", "resnet34, 3, 64", "densenet121, 1, 64"})
    void networksComeCloseToFloat32(String network, int channels, int size) throws IOException {
        Preprocess p = channels == 1 ? Preprocess.grey(size) : Preprocess.imageNet(size);
        Model model = Zoo.model(network, Shape.of(channels, size, size), 2, ModelOptions.DEFAULT);
        try (Exported exported = exported(model.graph(1, false), p);
                Backend backend = Backends.cpu(2);
                ImagingAgent agent = ImagingAgent.open(exported.file, 2, false);
                OnnxCheck check = new OnnxCheck(agent, BATCH)) {
            MemorySegment pictures = exported.pictures(BATCH, p.elements());
            float[] logits = exported.logits(Fuse.apply(model.graph(BATCH, false)), pictures, backend);
            check.compare(pictures, BATCH, logits, 0);
            double largest = 0;
            for (float v : logits)
                largest = Math.max(largest, Math.abs(v));
            double off = check.maxAbsDifference() / largest; // random weights: a logit may be small by chance
            assertTrue(off <= 1e-2, network + ": off by " + off);
            assertTrue(off > 1e-6, "nothing was rounded: is this half precision?");
            assertHalf(ModelProto.parseFrom(Files.readAllBytes(exported.file)).getGraph());
            assertTrue(Files.size(exported.file) < model.table().bytes() * 0.6 + 300_000, "half the bytes");
        }
    }

    /** Weights are float16 but for the last layer's, normalisation's factors are constants, and batch norms are folded. */
    private static void assertHalf(GraphProto g) {
        int f32 = TensorProto.DataType.FLOAT_VALUE;
        assertEquals(f32, g.getInput(0).getType().getTensorType().getElemType());
        g.getOutputList().forEach(o -> assertEquals(f32, o.getType().getTensorType().getElemType(), o.getName()));
        NodeProto last = g.getNodeList().stream().filter(n -> n.getOutput(0).equals(Model.LOGITS)).findAny()
                .orElseThrow();
        for (TensorProto t : g.getInitializerList())
            if (!last.getInputList().contains(t.getName()))
                assertEquals(TensorProto.DataType.FLOAT16_VALUE, t.getDataType(), t.getName());
        assertFalse(g.getNodeList().stream().anyMatch(n -> n.getOpType().equals("BatchNormalization")));
        assertFalse(g.getInitializerList().stream().anyMatch(t -> t.getName().contains("running_")));
    }

    private static Value one(Graph g, Op op, Value... in) { return g.apply("here", op, in).getFirst(); }

    private static Value norm(Graph g, String name, Value x) {
        Shape c = Shape.of(x.shape().dim(1));
        return one(g, new Normalize(1e-5f, false, Activation.NONE), x,
                g.parameter(name + ".running_mean", c, Region.STATISTICS),
                g.parameter(name + ".running_var", c, Region.STATISTICS),
                g.parameter(name + ".weight", c, Region.TRAINABLE),
                g.parameter(name + ".bias", c, Region.TRAINABLE));
    }

    private static Value conv(Graph g, String name, Value x, boolean bias) {
        Value w = g.parameter(name + ".weight", Shape.of(4, x.shape().dim(1), 3, 3), Region.TRAINABLE);
        Op op = new Conv(Window.of(2, 3, 1, 1), 1, bias);
        return bias ? one(g, op, x, w, g.parameter(name + ".bias", Shape.of(4), Region.TRAINABLE)) : one(g, op, x, w);
    }

    /** With and without a bias before it, without a convolution before it, and after one that something else reads, too. */
    private static Graph folding(int batch) {
        Graph g = new Graph();
        Value x = g.input(Model.IMAGE, new Spec(Shape.of(batch, 3, SIDE, SIDE), Kind.FLOAT));
        Value y = norm(g, "first", one(g, new Cast(Kind.ACTIVATION), x));
        y = norm(g, "after_bias", conv(g, "a", y, true));
        y = norm(g, "after_plain", conv(g, "b", y, false));
        Value shared = conv(g, "c", y, false);
        y = one(g, new Add(), norm(g, "beside", shared), shared);
        g.output(Model.LOGITS, one(g, new Cast(Kind.FLOAT), one(g, new Flatten(), y)));
        return g;
    }

    @Test
    void batchNormsAreFoldedWhereAConvolutionStandsBefore() throws IOException {
        Preprocess p = Preprocess.imageNet(SIDE);
        try (Exported exported = exported(folding(1), p);
                Backend backend = Backends.cpu(1);
                ImagingAgent agent = ImagingAgent.open(exported.file, 1, false);
                OnnxCheck check = new OnnxCheck(agent, BATCH)) {
            MemorySegment pictures = exported.pictures(BATCH, p.elements());
            check.compare(pictures, BATCH, exported.logits(folding(BATCH), pictures, backend), 0);
            assertTrue(check.maxRelativeDifference() <= 1e-2, "off by " + check.maxRelativeDifference());
            GraphProto g = ModelProto.parseFrom(Files.readAllBytes(exported.file)).getGraph();
            List<String> types = g.getNodeList().stream().map(NodeProto::getOpType)
                    .filter(t -> !t.equals("Cast")).toList();
            assertEquals(List.of("Mul", "Add", "Conv", "Conv", "Conv", "Mul", "Add", "Add", "Flatten", "Softmax"),
                    types);
            assertTrue(g.getNodeList().stream().filter(n -> n.getOpType().equals("Conv"))
                    .map(NodeProto::getInputCount).toList().equals(List.of(3, 3, 2)), "folding gives a bias");
        }
    }

    @Test
    void aWeightBeyondHalfPrecisionIsNamed() throws IOException {
        Model model = Zoo.model("convnet2", Shape.of(1, 8, 8), 2, ModelOptions.DEFAULT);
        try (Exported exported = exported(model.graph(1, false), Preprocess.grey(8))) {
            byte[] before = Files.readAllBytes(exported.file);
            exported.weights.slice("conv2.weight").setAtIndex(ValueLayout.JAVA_FLOAT, 5, -70000);
            OnnxException e = assertThrows(OnnxException.class,
                    () -> OnnxExporter.write(exported.file, model, exported.weights, exported.facts, DType.F16));
            assertTrue(e.getMessage().contains("conv2.weight holds -70000.0"), e.getMessage());
            assertEquals(-1, java.util.Arrays.mismatch(before, Files.readAllBytes(exported.file)));
            assertThrows(OnnxException.class,
                    () -> OnnxExporter.write(exported.file, model, exported.weights, exported.facts, DType.BF16));
        }
    }
}
