package isthmus.graph;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.backend.Backend;
import isthmus.backend.BackendProvider;
import isthmus.backend.Backends;
import isthmus.backend.Precision;
import isthmus.backend.ReferenceBackend;
import isthmus.nn.Model;
import isthmus.op.Activation;
import isthmus.op.Add;
import isthmus.op.AvgPool;
import isthmus.op.BceWithLogits;
import isthmus.op.ChannelStatistics;
import isthmus.op.Concat;
import isthmus.op.Conv;
import isthmus.op.GatedNorm;
import isthmus.op.Kind;
import isthmus.op.LinearRelu;
import isthmus.op.MaxPool;
import isthmus.op.Measured;
import isthmus.op.Node;
import isthmus.op.NormBackward;
import isthmus.op.Normalize;
import isthmus.op.Normalized;
import isthmus.op.Op;
import isthmus.op.Relu;
import isthmus.op.Settled;
import isthmus.op.Spec;
import isthmus.op.Value;
import isthmus.op.Window;
import isthmus.tensor.Region;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What is rewritten computes the same, and is rewritten. */
class RewritesTest {
    private static final Set<Rewrite> ON_THE_WAY = EnumSet.of(Rewrite.NORMS_ON_THE_WAY, Rewrite.STATISTICS_ON_THE_WAY);
    private static final String PASSES_APART = "-norms-on-the-way,-statistics-on-the-way";
    private static Backend cpu;
    /** The emulated one; null where it is not built. */
    private static Backend cuda;

    @BeforeAll
    static void open() {
        cpu = Backends.cpu(2);
        BackendProvider emulation = Backends.all().stream().filter(p -> p.name().equals("cuda-emulated")).findFirst()
                .orElseThrow();
        if (emulation.problem().isEmpty()) cuda = emulation.open(1);
    }

    @AfterAll
    static void close() {
        cpu.close();
        if (cuda != null) cuda.close();
    }

    static LongStream seeds() { return LongStream.range(0, 60); }

    @ParameterizedTest
    @MethodSource("seeds")
    void rewrittenGraphsAgree(long seed) { agree(seed, 1, cpu); }

    /** Of every other graph some rows begin where the device wants none to. */
    @ParameterizedTest
    @MethodSource("seeds")
    void rewrittenGraphsAgreeOnTheDevice(long seed) { agree(seed, seed % 2 == 0 ? 4 : 1, backend("cuda-emulated")); }

    private static Backend backend(String name) {
        if (name.equals(cpu.name())) return cpu;
        Assumptions.assumeTrue(cuda != null, "the emulation is not built");
        return cuda;
    }

    static Stream<Arguments> rewritesOfDevices() {
        return Stream.of("cpu", "cuda-emulated")
                .flatMap(device -> Stream.of(Rewrite.values()).map(r -> Arguments.of(device, r)));
    }

    private static void agree(long seed, int unit, Backend backend) {
        Map<String, float[]> expected;
        try (ReferenceBackend reference = new ReferenceBackend()) {
            expected = run(seed, unit, reference, Rewrites.only());
        }
        List<Rewrites> choices = new ArrayList<>(List.of(Rewrites.only(), Rewrites.all()));
        for (Rewrite r : Rewrite.values())
            choices.add(Rewrites.only(r));
        for (Rewrites rewrites : choices) {
            Map<String, float[]> got = run(seed, unit, backend, rewrites);
            assertEquals(expected.keySet(), got.keySet());
            expected.forEach((what, values) -> assertArrayEquals(values, got.get(what), Trial.scale(values) * 5e-4f,
                    () -> what + " with " + rewrites));
        }
    }

    /** In naive Java, which joins norms to all convolutions; the CPU has kernels for some, below. */
    @ParameterizedTest
    @MethodSource("seeds")
    void normsOnTheWayAgree(long seed) {
        try (ReferenceBackend naive = new ReferenceBackend()) {
            Map<String, float[]> expected = run(seed, 1, naive, Rewrites.only());
            Rewrites joined = Rewrites.only(Rewrite.NORM_FUSION, Rewrite.SHARED_STATISTICS, Rewrite.GRADIENT_SUMS,
                    Rewrite.NORMS_ON_THE_WAY, Rewrite.STATISTICS_ON_THE_WAY);
            Map<String, float[]> got = run(seed, 1, naive, joined);
            assertEquals(expected.keySet(), got.keySet());
            expected.forEach((what, values) -> assertArrayEquals(values, got.get(what), Trial.scale(values) * 5e-4f,
                    what));
        }
    }

    /** In half precision the two round gradients at other places. */
    @ParameterizedTest
    @MethodSource("seeds")
    void normsOnTheWayAgreeInHalfPrecision(long seed) {
        Map<String, float[]> expected = half(seed, Rewrites.parse("-norms-on-the-way"));
        Map<String, float[]> got = half(seed, Rewrites.all());
        assertEquals(expected.keySet(), got.keySet());
        double[] largest = expected.entrySet().stream().filter(e -> e.getKey().startsWith("gradient"))
                .mapToDouble(e -> Trial.length(e.getValue())).sorted().toArray();
        expected.forEach((what, values) -> {
            // Of a bias before a norm the gradient is what sums leave that cancel.
            double scale = Math.max(Trial.length(values), 0.02 * Math.max(largest[largest.length - 1], 1e-3));
            double off = Trial.distance(values, got.get(what)) / scale;
            double limit = what.startsWith("gradient") ? 0.06 : 0.01;
            assertTrue(off <= limit, () -> what + " is off by " + off);
        });
    }

    private static Map<String, float[]> half(long seed, Rewrites rewrites) {
        Graph graph = rewrites.beforeGradients(RandomGraph.training(seed, 32));
        Gradients.append(graph, RandomGraph.LOSS);
        return Trial.run(rewrites.afterGradients(graph, cpu, Precision.BF16), cpu, Precision.BF16, rewrites);
    }

    @Test
    void normsAreOnTheWayInSomeDrawnGraphs() {
        long joined = seeds().mapToObj(seed -> {
            Graph graph = Rewrites.all().beforeGradients(RandomGraph.training(seed, 32));
            Gradients.append(graph, RandomGraph.LOSS);
            return Rewrites.all().afterGradients(graph, cpu, Precision.BF16);
        }).filter(g -> count(g.nodes(), Normalized.Settle.class) + count(g.nodes(), Settled.class) > 0).count();
        assertTrue(joinsNorms(cpu) ? joined >= 15 : joined == 0, joined + " of all drawn graphs");
    }

    /** Without gradients more is joined: squeeze-and-excitation writes its input nowhere. */
    @ParameterizedTest
    @MethodSource("seeds")
    void rewrittenForwardPassesAgree(long seed) {
        Graph plain = Rewrites.only().beforeGradients(RandomGraph.training(seed));
        Map<String, float[]> expected = Trial.run(plain, cpu, Rewrites.only());
        forwardAgrees(expected, seed, cpu);
        if (cuda != null) forwardAgrees(expected, seed, cuda);
    }

    private static void forwardAgrees(Map<String, float[]> expected, long seed, Backend backend) {
        Rewrites all = Rewrites.all();
        Graph graph = all.afterGradients(all.beforeGradients(RandomGraph.training(seed)), backend, Precision.FP32);
        Map<String, float[]> got = Trial.run(graph, backend, all);
        assertEquals(expected.keySet(), got.keySet());
        expected.forEach((what, values) -> assertArrayEquals(values, got.get(what), Trial.scale(values) * 5e-4f,
                () -> what + " on " + backend.name()));
    }

    @Test
    void forwardPassesAreJoinedInSomeDrawnGraphs() {
        long joined = seeds().mapToObj(RandomGraph::training)
                .map(g -> Rewrites.all().afterGradients(Rewrites.all().beforeGradients(g), cpu, Precision.FP32))
                .filter(g -> count(g.nodes(), GatedNorm.Means.class) > 0
                        && count(g.nodes(), GatedNorm.Scaled.class) > 0)
                .count();
        assertTrue(joined >= 5, joined + " of all drawn graphs");
    }

    private static Map<String, float[]> run(long seed, int unit, Backend backend, Rewrites rewrites) {
        Graph graph = rewrites.beforeGradients(RandomGraph.training(seed, unit));
        Gradients.append(graph, RandomGraph.LOSS);
        return Trial.run(rewrites.afterGradients(graph, backend, Precision.FP32), backend, rewrites);
    }

    @Test
    void reluComesAfterTheMaximum() {
        Graph graph = new Graph();
        Value x = graph.input("x", new Spec(Shape.of(2, 3, 6, 6), Kind.FLOAT));
        Value relu = graph.apply("relu", new Relu(), x).getFirst();
        graph.output("y", graph.apply("pool", new MaxPool(Window.of(2, 3, 2, 1)), relu).getFirst());
        List<Op> ops = PoolFirst.apply(graph).nodes().stream().map(Node::op).toList();
        assertEquals(List.of(new MaxPool(Window.of(2, 3, 2, 1)), new Relu()), ops);
        graph.output("all", relu);
        assertEquals(graph, PoolFirst.apply(graph));
    }

    /** Without the rewrite the same would not hold. */
    @ParameterizedTest
    @MethodSource("rewritesOfDevices")
    void everyRewriteTakesPlaceInDenseNet(String device, Rewrite r) {
        Backend backend = backend(device);
        Rewrites without = Rewrites.parse("-" + r.option());
        assertEquals(EnumSet.complementOf(EnumSet.of(r)), without.applied());
        // Where norms are joined to convolutions little is left for others.
        boolean joins = ON_THE_WAY.contains(r);
        Facts with = facts(joins ? Rewrites.all() : Rewrites.parse(PASSES_APART), "densenet121", backend);
        Facts but = facts(joins ? without : Rewrites.parse(PASSES_APART + ",-" + r.option()), "densenet121", backend);
        switch (r) {
            case NORM_FUSION -> assertTrue(with.normsAndRelus == 121 && but.normsAndRelus == 242);
            case POOL_FIRST -> assertTrue(with.convFlops < 0.95 * but.convFlops && with.pooledConvs == 3);
            case SHARED_STATISTICS -> assertTrue(with.statisticsBytes < 0.5 * but.statisticsBytes);
            case GRADIENT_SUMS -> assertTrue(with.adds == 0 && but.adds == 58 && with.addingPasses == 58);
            case SQUEEZE_EXCITE -> assertEquals(0, with.gates); // EfficientNet's, below
            // Not on devices.
            case RECOMPUTE -> assertEquals(!backend.hasOwnMemory(), with.passes > but.passes && with.arena < but.arena);
            case NORMS_ON_THE_WAY -> {
                assertEquals(joinsNorms(backend) ? 116 + 3 + 1 : 0, with.joined);
                assertEquals(joinsNorms(backend), with.arena < but.arena && with.copiedBytes == 0);
            }
            case STATISTICS_ON_THE_WAY ->
                assertEquals(joinsNorms(backend), with.statisticsBytes < 0.8 * but.statisticsBytes);
            case LINEAR_RELU -> assertEquals(0, with.linearRelus); // ConvNet2's, below
            case CHANNEL_BLOCKS -> assertTrue(with.copiedBytes < 0.5 * but.copiedBytes, with + " " + but);
            case IN_PLACE -> assertTrue(with.inPlace > 100 && but.inPlace == 0);
        }
        if (EnumSet.of(Rewrite.NORM_FUSION, Rewrite.POOL_FIRST, Rewrite.CHANNEL_BLOCKS).contains(r))
            assertTrue(with.arena < but.arena, with + " " + but);
    }

    /** Whether this machine has the kernels. */
    private static boolean joinsNorms(Backend backend) {
        Graph g = new Graph();
        Value x = g.input("x", new Spec(Shape.of(1, 64, 8, 8), Kind.ACTIVATION));
        Value w = g.parameter("w", Shape.of(32, 64, 1, 1), Region.TRAINABLE);
        g.apply("conv", new Conv(Window.of(2, 1, 1, 0), 1, false), x, w);
        return backend.joinsNorm(new Normalize(1e-5f, false, Activation.RELU), g.nodes().getFirst(), Precision.BF16);
    }

    /** What a compiled training step of DenseNet-121 consists of. */
    private record Facts(long arena, long normsAndRelus, long passes, double convFlops, long pooledConvs,
            long statisticsBytes, long adds, long addingPasses, long gates, long copiedBytes, long inPlace,
            long linearRelus, long joined) {}

    private static Facts facts(Rewrites rewrites, String model, Backend backend) {
        backend.enter();
        Graph plain = Zoo.model(model, Shape.of(3, 64, 64), 2, ModelOptions.DEFAULT).graph(2, true);
        Value logits = plain.outputs().get(Model.LOGITS);
        Value labels = plain.input("labels", new Spec(logits.shape(), Kind.FLOAT));
        plain.output("loss", plain.apply("loss", new BceWithLogits(List.of()), logits, labels).getFirst());
        Graph forward = rewrites.beforeGradients(plain);
        Gradients.append(forward, "loss");
        Graph graph = rewrites.afterGradients(forward, backend, Precision.BF16);
        try (Arena arena = Arena.ofConfined()) {
            WeightBuffer weights = new WeightBuffer(graph.table(), backend.allocate(graph.table().bytes(), arena));
            WeightBuffer gradients = new WeightBuffer(graph.table(), backend.allocate(graph.table().bytes(), arena));
            try (Program p = Program.compile(graph, backend, Precision.BF16, weights, gradients, null, 0,
                    rewrites)) {
                assertEquals(Program.arenaBytes(graph, backend, Precision.BF16, rewrites), p.plan().bytes());
                return facts(p);
            }
        }
    }

    private static Facts facts(Program p) {
        List<Call> calls = p.calls();
        List<Node> nodes = calls.stream().map(Call::node).toList();
        List<Value> pooled = nodes.stream().filter(n -> n.op() instanceof AvgPool).map(n -> n.out(0)).toList();
        return new Facts(p.plan().bytes(),
                passes(nodes) - repeated(nodes), passes(nodes),
                calls.stream().filter(c -> c.node().op().name().startsWith("conv")).mapToLong(Call::flops).sum(),
                nodes.stream().filter(n -> n.op() instanceof Conv && pooled.contains(n.in(0))).count(),
                bytes(calls, ChannelStatistics.class), count(nodes, Add.class),
                nodes.stream().filter(n -> n.op() instanceof NormBackward b && b.adds()).count(),
                nodes.stream().filter(n -> isGated(n.op())).count(),
                bytes(calls, Concat.class) + bytes(calls, Concat.Slice.class),
                nodes.stream().filter(n -> n.op() instanceof NormBackward).filter(n -> n.inputs().stream()
                        .anyMatch(v -> v.shape().equals(n.out(0).shape()) && p.layout().root(v) == p.layout()
                                .root(n.out(0))))
                        .count(),
                count(nodes, LinearRelu.class),
                nodes.stream().map(n -> n.op() instanceof Measured m ? m.op() : n.op())
                        .filter(op -> op instanceof Normalized z && !(z.op() instanceof Conv.BackwardWeights)).count());
    }

    /** The rewrite alone would not say that none are left: on a device, layers write to their places themselves. */
    @Test
    void theDeviceCopiesNoActivationsInDenseNet() {
        assertEquals(0, facts(Rewrites.all(), "densenet121", backend("cuda-emulated")).copiedBytes);
    }

    private static boolean isGated(Op op) { return op.getClass().getEnclosingClass() == GatedNorm.class; }

    private static long passes(List<Node> nodes) {
        return nodes.stream().filter(n -> List.of("batch_norm", "relu").contains(n.op().name())).count();
    }

    /** Normalisations that stand under a label a second time. */
    private static long repeated(List<Node> nodes) {
        List<String> labels = nodes.stream().filter(n -> n.op() instanceof Normalize).map(Node::label).toList();
        return labels.size() - labels.stream().distinct().count();
    }

    @Test
    void reluEndsTheDevicesMatrixProducts() {
        Backend device = backend("cuda-emulated");
        assertEquals(1, facts(Rewrites.all(), "convnet2", device).linearRelus);
        assertEquals(0, facts(Rewrites.parse("-linear-relu"), "convnet2", device).linearRelus);
        assertEquals(0, facts(Rewrites.all(), "convnet2", cpu).linearRelus);
    }

    @ParameterizedTest
    @ValueSource(strings = {"cpu", "cuda-emulated"})
    void squeezeExciteTakesPlaceInEfficientNet(String name) {
        Backend backend = backend(name);
        Facts with = facts(Rewrites.all(), "efficientnet_b0", backend);
        Facts but = facts(Rewrites.parse("-squeeze-excite"), "efficientnet_b0", backend);
        assertEquals(2 * 16, with.gates);
        assertEquals(0, but.gates);
        assertEquals(but.adds - 16, with.adds);
        assertTrue(with.arena < but.arena, with + " " + but);
        Graph evaluation = Zoo.model("efficientnet_b0", Shape.of(3, 64, 64), 2, ModelOptions.DEFAULT).graph(2, false);
        Rewrites all = Rewrites.all();
        assertEquals(2 * 16,
                all.afterGradients(all.beforeGradients(evaluation), backend, Precision.BF16).nodes().stream()
                        .filter(n -> isGated(n.op())).count());
    }

    private static long count(List<Node> nodes, Class<? extends Op> op) {
        return nodes.stream().filter(n -> op.isInstance(n.op())).count();
    }

    private static long bytes(List<Call> calls, Class<? extends Op> op) {
        return calls.stream().filter(c -> op.isInstance(c.node().op())).mapToLong(Call::bytes).sum();
    }

    @Test
    void parsesAndRefuses() {
        assertEquals(EnumSet.allOf(Rewrite.class), Rewrites.parse("all").applied());
        assertTrue(Rewrites.parse("none").applied().isEmpty());
        assertEquals(EnumSet.of(Rewrite.POOL_FIRST, Rewrite.IN_PLACE),
                Rewrites.parse("pool-first,in-place").applied());
        for (String wrong : List.of("", "pool", "pool-first,-in-place", "-all", "in-place,")) {
            String message = assertThrows(IllegalArgumentException.class, () -> Rewrites.parse(wrong)).getMessage();
            assertTrue(message.contains("minus") || message.contains(Rewrite.options().toString()), message);
        }
    }
}
