package isthmus.graph;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.backend.Precision;
import isthmus.backend.ReferenceBackend;
import isthmus.nn.Model;
import isthmus.nn.Seeds;
import isthmus.op.Activation;
import isthmus.op.Add;
import isthmus.op.GroupNorm;
import isthmus.op.Kind;
import isthmus.op.Normalize;
import isthmus.op.Relu;
import isthmus.op.Spec;
import isthmus.op.Value;
import isthmus.tensor.Region;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** A graph and its fused form compute the same: results, gradients, running statistics. */
class FuseTest {
    static LongStream seeds() { return LongStream.range(0, 60); }

    @ParameterizedTest
    @MethodSource("seeds")
    void fusedGraphsAgree(long seed) {
        Graph plain = RandomGraph.training(seed);
        Graph fused = Fuse.apply(RandomGraph.training(seed));
        assertEquals(plain.table().digest(), fused.table().digest());
        Gradients.append(plain, RandomGraph.LOSS);
        Gradients.append(fused, RandomGraph.LOSS);
        Map<String, float[]> expected = run(plain);
        Map<String, float[]> got = run(fused);
        assertEquals(expected.keySet(), got.keySet());
        expected.forEach((what, values) -> assertArrayEquals(values, got.get(what), scale(values) * 2e-4f, what));
    }

    private static float scale(float[] values) {
        float largest = 1e-2f; // below it, sums of numbers near 1 that cancel are all rounding
        for (float v : values)
            largest = Math.max(largest, Math.abs(v));
        return largest;
    }

    /** One training step from seeded weights: outputs, gradients, and the weights after it. */
    private static Map<String, float[]> run(Graph graph) {
        Map<String, float[]> results = new TreeMap<>();
        try (Arena arena = Arena.ofConfined(); ReferenceBackend backend = new ReferenceBackend()) {
            WeightBuffer weights = WeightBuffer.allocate(graph.table(), arena);
            WeightBuffer gradients = WeightBuffer.allocate(graph.table(), arena);
            graph.parameters().keySet().forEach(name -> fill(weights.slice(name), name));
            try (Program program = Program.compile(graph, backend, Precision.FP32, weights, gradients)) {
                fill(program.input(RandomGraph.IMAGE), RandomGraph.IMAGE);
                program.input(RandomGraph.LABELS).setAtIndex(ValueLayout.JAVA_FLOAT, 0, 1);
                program.run();
                for (String name : graph.outputs().keySet())
                    results.put("output " + name, program.output(name).toArray(ValueLayout.JAVA_FLOAT));
            }
            graph.parameterGradients().keySet().forEach(
                    name -> results.put("gradient of " + name, gradients.slice(name).toArray(ValueLayout.JAVA_FLOAT)));
            graph.parameters().keySet().forEach(
                    name -> results.put("value of " + name, weights.slice(name).toArray(ValueLayout.JAVA_FLOAT)));
        }
        return results;
    }

    private static void fill(MemorySegment at, String name) {
        long key = Seeds.key(5, name);
        boolean positive = name.endsWith("running_var");
        for (long i = 0; i < at.byteSize() / Float.BYTES; i++) {
            float v = 2 * Seeds.uniform(key, i) - 1;
            at.setAtIndex(ValueLayout.JAVA_FLOAT, i, positive ? Math.abs(v) + 0.5f : v);
        }
    }

    @Test
    void resNet34LosesEveryReluAndSum() {
        Model model = Zoo.model("resnet34", Shape.of(3, 32, 32), 2, ModelOptions.DEFAULT);
        Graph fused = Fuse.apply(model.graph(2, true));
        assertEquals(0, count(fused, Relu.class));
        assertEquals(0, count(fused, Add.class));
        assertEquals(36, count(fused, Normalize.class));
        assertEquals(16, fused.nodes().stream().filter(n -> n.op() instanceof Normalize z && z.residual()).count());
        assertEquals(model.table().digest(), fused.table().digest());
        assertTrue(fused.parameters().keySet().stream().anyMatch(p -> fused.region(p) == Region.STATISTICS));
    }

    @Test
    void groupNormTakesSumAndReluUnlessItsStatisticsAreRead() {
        for (boolean statisticsRead : new boolean[]{false, true}) {
            Graph graph = new Graph();
            Value x = graph.input("x", new Spec(Shape.of(2, 4, 3, 3), Kind.FLOAT));
            List<Value> z = graph.apply("norm", new GroupNorm(2, 1e-5f), x,
                    graph.parameter("gamma", Shape.of(4), Region.TRAINABLE),
                    graph.parameter("beta", Shape.of(4), Region.TRAINABLE));
            graph.output("y", graph.apply("relu", new Relu(),
                    graph.apply("add", new Add(), x, z.getFirst()).getFirst()).getFirst());
            if (statisticsRead) graph.output("mean", z.get(1));
            Graph fused = Fuse.apply(graph);
            assertEquals(statisticsRead ? 3 : 1, fused.nodes().size());
            assertEquals(new GroupNorm(2, 1e-5f, !statisticsRead, statisticsRead ? Activation.NONE : Activation.RELU),
                    fused.nodes().getFirst().op());
        }
    }

    private static long count(Graph graph, Class<?> op) {
        return graph.nodes().stream().filter(n -> op.isInstance(n.op())).count();
    }
}
