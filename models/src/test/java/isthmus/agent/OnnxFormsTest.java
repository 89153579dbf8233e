package isthmus.agent;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import isthmus.backend.ReferenceBackend;
import isthmus.data.Preprocess;
import isthmus.graph.Graph;
import isthmus.nn.Model;
import isthmus.onnx.OnnxFacts;
import isthmus.op.Activation;
import isthmus.op.Add;
import isthmus.op.AvgPool;
import isthmus.op.Cast;
import isthmus.op.Concat;
import isthmus.op.Conv;
import isthmus.op.Dropout;
import isthmus.op.Flatten;
import isthmus.op.GlobalAvgPool;
import isthmus.op.GroupNorm;
import isthmus.op.Kind;
import isthmus.op.Linear;
import isthmus.op.MaxPool;
import isthmus.op.Node;
import isthmus.op.Multiply;
import isthmus.op.Normalize;
import isthmus.op.OnnxEmitter;
import isthmus.op.Op;
import isthmus.op.Relu;
import isthmus.op.Scale;
import isthmus.op.Sigmoid;
import isthmus.op.Silu;
import isthmus.op.Spec;
import isthmus.op.StochasticDepth;
import isthmus.op.Upsample;
import isthmus.op.Value;
import isthmus.op.Window;
import isthmus.tensor.DType;
import isthmus.tensor.Region;
import isthmus.tensor.Shape;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** ONNX Runtime computes each op's ONNX form as the op's own plain Java does. */
class OnnxFormsTest {
    private static final int SIDE = 9;
    private static final int BATCH = 3;

    @TempDir
    Path folder;

    /** Something between the picture and the logits. */
    interface Middle {
        Value add(Graph graph, Value x);
    }

    record Form(String name, Middle middle) {
        /** The op on the picture, flattened into logits. */
        Graph graph(int batch) {
            Graph graph = new Graph();
            Value x = graph.input(Model.IMAGE, new Spec(Shape.of(batch, 3, SIDE, SIDE), Kind.FLOAT));
            Value y = middle.add(graph, graph.apply("cast", new Cast(Kind.ACTIVATION), x).getFirst());
            Value flat = y.shape().rank() == 2 ? y : graph.apply("flat", new Flatten(), y).getFirst();
            graph.output(Model.LOGITS, graph.apply("cast", new Cast(Kind.FLOAT), flat).getFirst());
            return graph;
        }

        @Override
        public String toString() { return name; }
    }

    static List<Form> forms() {
        List<Form> all = new ArrayList<>();
        all.add(conv("conv", Window.of(2, 3, 1, 1), 1, true));
        all.add(conv("conv stride 2, no bias", Window.of(2, 3, 2, 1), 1, false));
        all.add(conv("conv dilated", Window.of(2, 3, 1, 2).dilated(2), 1, true));
        all.add(conv("conv grouped", Window.of(2, 3, 1, 1), 3, true));
        all.add(conv("conv 5x3",
                new Window(List.of(5, 3), List.of(1, 2), List.of(2, 0), List.of(1, 1)), 1, false));
        all.add(new Form("linear", (g, x) -> {
            Value flat = g.apply("linear", new Flatten(), x).getFirst();
            return g.apply("linear", new Linear(true, false), flat, weight(g, "weight", 5, flat.shape().dim(1)),
                    weight(g, "bias", 5)).getFirst();
        }));
        all.add(new Form("relu", (g, x) -> one(g, new Relu(), x)));
        all.add(new Form("add", (g, x) -> one(g, new Add(), x, one(g, new Relu(), x))));
        for (Upsample.Mode mode : Upsample.Mode.values()) {
            for (int[] size : new int[][]{{2 * SIDE, 3 * SIDE}, {SIDE + 1, 2 * SIDE + 5}})
                all.add(new Form("upsample " + mode + " to " + size[0] + "x" + size[1],
                        (g, x) -> one(g, new Upsample(List.of(size[0], size[1]), mode), x)));
        }
        all.add(new Form("max_pool", (g, x) -> one(g, new MaxPool(Window.of(2, 2, 2, 0)), x)));
        all.add(new Form("max_pool 3x3 stride 2", (g, x) -> one(g, new MaxPool(Window.of(2, 3, 2, 1)), x)));
        all.add(new Form("max_pool dilated", (g, x) -> one(g, new MaxPool(Window.of(2, 3, 1, 1).dilated(2)), x)));
        all.add(new Form("avg_pool", (g, x) -> one(g, new AvgPool(Window.of(2, 2, 2, 0)), x)));
        all.add(new Form("avg_pool padded", (g, x) -> one(g, new AvgPool(Window.of(2, 3, 2, 1)), x)));
        all.add(new Form("global_avg_pool", (g, x) -> one(g, new GlobalAvgPool(), x)));
        all.add(new Form("dropout", (g, x) -> one(g, new Dropout(0, 0), x)));
        all.add(new Form("multiply", (g, x) -> one(g, new Multiply(-1.5f), x)));
        all.add(new Form("silu", (g, x) -> one(g, new Silu(), x)));
        all.add(new Form("sigmoid", (g, x) -> one(g, new Sigmoid(), x)));
        all.add(new Form("scale", (g, x) -> one(g, new Scale(), x, one(g, new GlobalAvgPool(), x))));
        all.add(new Form("concat", (g, x) -> one(g, new Concat(), x, one(g, new Relu(), x), x)));
        all.add(new Form("stochastic_depth", (g, x) -> one(g, new StochasticDepth(0, 0), x)));
        for (Activation a : Activation.values())
            for (boolean residual : a == Activation.SILU ? new boolean[]{false} : new boolean[]{false, true})
                all.addAll(List.of(batchNorm(residual, a), groupNorm(1, residual, a), groupNorm(3, residual, a)));
        return all;
    }

    private static Form conv(String name, Window window, int groups, boolean bias) {
        return new Form(name, (g, x) -> {
            Value w = weight(g, "weight", 6, 3 / groups, window.kernel().get(0), window.kernel().get(1));
            Op op = new Conv(window, groups, bias);
            return bias ? one(g, op, x, w, weight(g, "bias", 6)) : one(g, op, x, w);
        });
    }

    private static Form batchNorm(boolean residual, Activation activation) {
        return new Form("batch_norm" + (residual ? " + residual" : "") + activation.suffix(), (g, x) -> {
            List<Value> in = new ArrayList<>(List.of(x, weight(g, "running_mean", 3), weight(g, "running_var", 3),
                    weight(g, "bn.weight", 3), weight(g, "bn.bias", 3)));
            if (residual) in.add(one(g, new MaxPool(Window.of(2, 3, 1, 1)), x));
            return one(g, new Normalize(1e-5f, residual, activation), in.toArray(Value[]::new));
        });
    }

    /** Of six channels, so that groups of several are seen. */
    private static Form groupNorm(int groups, boolean residual, Activation activation) {
        String name = "group_norm of " + groups + (residual ? " + residual" : "") + activation.suffix();
        return new Form(name, (g, x) -> {
            Value six = one(g, new Conv(Window.of(2, 1, 1, 0), 1, false), x, weight(g, "weight", 6, 3, 1, 1));
            List<Value> in = new ArrayList<>(List.of(six, weight(g, "gn.weight", 6), weight(g, "gn.bias", 6)));
            if (residual) in.add(one(g, new MaxPool(Window.of(2, 3, 1, 1)), six));
            return one(g, new GroupNorm(groups, 1e-5f, residual, activation), in.toArray(Value[]::new));
        });
    }

    private static Value one(Graph g, Op op, Value... in) { return g.apply("here", op, in).getFirst(); }

    private static Value weight(Graph g, String name, int... dims) {
        return g.parameter(name, Shape.of(dims), Region.TRAINABLE);
    }

    /** Weights and computing rounded to 11 bits: far off would be a cast at the wrong place. */
    @ParameterizedTest
    @MethodSource("forms")
    void halfPrecisionComesClose(Form form) {
        Preprocess preprocess = Preprocess.imageNet(SIDE);
        try (Exported exported = new Exported(folder.resolve("op.onnx"), form.graph(1), preprocess,
                OnnxFacts.Decision.SIGMOID, DType.F16);
                ReferenceBackend backend = new ReferenceBackend();
                ImagingAgent agent = ImagingAgent.open(exported.file, 1, false);
                OnnxCheck check = new OnnxCheck(agent, BATCH)) {
            MemorySegment pictures = exported.pictures(BATCH, preprocess.elements());
            check.compare(pictures, BATCH, exported.logits(form.graph(BATCH), pictures, backend), 0);
            assertTrue(check.maxRelativeDifference() <= 1e-2, form + ": off by " + check.maxRelativeDifference());
        }
    }

    @ParameterizedTest
    @MethodSource("forms")
    void onnxRuntimeAgrees(Form form) {
        Preprocess preprocess = Preprocess.imageNet(SIDE);
        try (Exported exported = new Exported(folder.resolve("op.onnx"), form.graph(1), preprocess,
                OnnxFacts.Decision.SIGMOID);
                ReferenceBackend backend = new ReferenceBackend();
                ImagingAgent agent = ImagingAgent.open(exported.file, 1, false);
                OnnxCheck check = new OnnxCheck(agent, BATCH)) {
            MemorySegment pictures = exported.pictures(BATCH, preprocess.elements());
            float[] expected = exported.logits(form.graph(BATCH), pictures, backend);
            check.compare(pictures, BATCH, expected, 0);
            assertEquals(BATCH, check.images());
            assertTrue(check.maxAbsDifference() <= 1e-5, form + ": off by " + check.maxAbsDifference());
        }
    }

    /** Fails when an op with an ONNX form is added and not put into the table above. */
    @Test
    void everyOpWithAFormIsInTheTable() {
        Set<String> withForm = new ClassFileImporter().importPackages("isthmus.op").stream()
                .filter(c -> c.isAssignableTo(Op.class) && !c.isInterface())
                .filter(c -> c.tryGetMethod("onnx", OnnxEmitter.class).isPresent())
                .map(JavaClass::getSimpleName).collect(Collectors.toCollection(TreeSet::new));
        Set<String> tested = forms().stream().flatMap(f -> f.graph(1).nodes().stream()).map(Node::op)
                .map(op -> op.getClass().getSimpleName()).collect(Collectors.toCollection(TreeSet::new));
        assertEquals(withForm, tested);
    }
}
