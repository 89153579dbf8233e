package isthmus.graph;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.backend.ReferenceBackend;
import isthmus.nn.Model;
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
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.util.List;
import java.util.Map;
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
        try (ReferenceBackend backend = new ReferenceBackend()) {
            Map<String, float[]> expected = Trial.run(plain, backend, Rewrites.only());
            Map<String, float[]> got = Trial.run(fused, backend, Rewrites.only());
            assertEquals(expected.keySet(), got.keySet());
            expected.forEach((what, values) -> assertArrayEquals(values, got.get(what), Trial.scale(values) * 2e-4f,
                    what));
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
