package isthmus.graph;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.backend.Precision;
import isthmus.backend.ReferenceBackend;
import isthmus.nn.Model;
import isthmus.op.Activation;
import isthmus.op.BceWithLogits;
import isthmus.op.Cast;
import isthmus.op.Conv;
import isthmus.op.Flatten;
import isthmus.op.GroupNorm;
import isthmus.op.Kind;
import isthmus.op.Linear;
import isthmus.op.Node;
import isthmus.op.Normalization;
import isthmus.op.Spec;
import isthmus.op.Value;
import isthmus.op.Window;
import isthmus.tensor.Region;
import isthmus.tensor.Shape;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.util.List;
import java.util.Map;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What is computed again is the same, takes less memory, and costs what it may. */
class RecomputeTest {
    private static final double ANY = 1e9;

    private static Backend cpu;

    @BeforeAll
    static void open() { cpu = Backends.cpu(2); }

    @AfterAll
    static void close() { cpu.close(); }

    static LongStream seeds() { return LongStream.range(0, 100); }

    /** Where norms are on the way little is kept that could be let go of. */
    private static final Rewrites OTHERS = Rewrites.parse("-recompute,-norms-on-the-way,-statistics-on-the-way");

    private static Graph kept(long seed) { return kept(RandomGraph.training(seed)); }

    private static Graph kept(Graph network) {
        Graph graph = OTHERS.beforeGradients(network);
        Gradients.append(graph, RandomGraph.LOSS);
        return OTHERS.afterGradients(graph, cpu, Precision.BF16);
    }

    @ParameterizedTest
    @MethodSource("seeds")
    void givesTheSameBits(long seed) { sameBits(kept(seed)); }

    private static void sameBits(Graph kept) {
        sameBits(kept, cpu);
        try (ReferenceBackend reference = new ReferenceBackend()) {
            sameBits(kept, reference);
        }
    }

    private static void sameBits(Graph kept, Backend backend) {
        Map<String, float[]> expected = Trial.run(kept, backend, OTHERS);
        Map<String, float[]> got = Trial.run(Recompute.apply(kept, ANY), backend, OTHERS);
        assertEquals(expected.keySet(), got.keySet());
        expected.forEach((what, values) -> assertArrayEquals(values, got.get(what), what));
    }

    @Test
    void groupNormalisationGivesTheSameBits() {
        Graph kept = kept(groups());
        assertTrue(Recompute.apply(kept, ANY).nodes().stream().filter(n -> n.op() instanceof GroupNorm.Again)
                .count() > 1);
        sameBits(kept);
    }

    /** Four convolutions, each group-normalised and activated. */
    private static Graph groups() {
        Graph g = new Graph();
        Value x = g.input(RandomGraph.IMAGE, new Spec(Shape.of(2, 4, 6, 6), Kind.FLOAT));
        x = g.apply("image", new Cast(Kind.ACTIVATION), x).getFirst();
        for (int i = 0; i < 4; i++) {
            x = g.apply("conv" + i, new Conv(Window.of(2, 3, 1, 1), 1, false), x,
                    g.parameter("conv" + i, Shape.of(4, 4, 3, 3), Region.TRAINABLE)).getFirst();
            x = g.apply("norm" + i, new GroupNorm(2, 1e-5f, false, Activation.RELU), x,
                    g.parameter("gamma" + i, Shape.of(4), Region.TRAINABLE),
                    g.parameter("beta" + i, Shape.of(4), Region.TRAINABLE)).getFirst();
        }
        Value flat = g.apply("head", new Flatten(), x).getFirst();
        Value logits = g.apply("head", new Linear(false, true), flat,
                g.parameter("head", Shape.of(1, 144), Region.TRAINABLE)).getFirst();
        Value labels = g.input(RandomGraph.LABELS, new Spec(logits.shape(), Kind.FLOAT));
        g.output(RandomGraph.LOSS, g.apply("loss", new BceWithLogits(List.of()), logits, labels).getFirst());
        return g;
    }

    @Test
    void takesPlaceInManyGraphs() {
        assertTrue(seeds().filter(seed -> runs(Recompute.apply(kept(seed), ANY)) > runs(kept(seed))).count() > 25);
    }

    @Test
    void withoutTimeToSpareNothingIsComputedTwice() {
        seeds().mapToObj(RecomputeTest::kept).forEach(g -> assertSame(g, Recompute.apply(g, 0)));
    }

    @ParameterizedTest
    @ValueSource(strings = {"resnet34", "densenet121", "efficientnet_b0"})
    void theArenaShrinksAndTimeIsKept(String model) {
        Graph kept = step(model);
        Graph some = Recompute.apply(kept);
        Graph all = Recompute.apply(kept, ANY);
        assertTrue(arena(some) < 0.98 * arena(kept), arena(some) + " bytes, " + arena(kept) + " without");
        assertTrue(arena(all) <= arena(some), arena(all) + " bytes, " + arena(some) + " with a limit");
        assertFalse(traffic(some) > traffic(kept) * 1.05, traffic(some) + " bytes moved, " + traffic(kept) + " before");
        assertTrue(runs(all) > runs(kept));
    }

    private static Graph step(String model) {
        Graph graph = Zoo.model(model, Shape.of(3, 96, 96), 2, ModelOptions.DEFAULT).graph(8, true);
        Value logits = graph.outputs().get(Model.LOGITS);
        Value labels = graph.input("labels", new Spec(logits.shape(), Kind.FLOAT));
        graph.output("loss", graph.apply("loss", new BceWithLogits(List.of()), logits, labels).getFirst());
        Graph forward = OTHERS.beforeGradients(graph);
        Gradients.append(forward, "loss");
        return OTHERS.afterGradients(forward, cpu, Precision.BF16);
    }

    private static long arena(Graph graph) { return Program.arenaBytes(graph, cpu, Precision.BF16, OTHERS); }

    private static long traffic(Graph graph) {
        return Outline.of(graph, cpu, Precision.BF16).calls().stream().mapToLong(Call::bytes).sum();
    }

    /** How often something is normalised. */
    private static long runs(Graph graph) {
        return graph.nodes().stream().map(Node::op)
                .filter(op -> op instanceof Normalization || op instanceof GroupNorm.Again).count();
    }
}
