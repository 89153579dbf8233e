package isthmus.nn;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.backend.Precision;
import isthmus.graph.Plan;
import isthmus.graph.Program;
import isthmus.op.Node;
import isthmus.tensor.Region;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import isthmus.tensor.WeightTable;
import isthmus.train.Evaluator;
import isthmus.train.Loss;
import isthmus.train.OptimizerSpec;
import isthmus.train.Trainer;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Frozen weights, adapters, and what they save. */
class AdaptationTest {
    private static final Shape IMAGE = Shape.of(3, 32, 32);
    private static final int BATCH = 4;
    private static final Lora LORA = new Lora(4, 16, List.of("fc1", "fc2"));

    private static Model model(String name, Adaptation adaptation) {
        return Zoo.model(name, IMAGE, 2, ModelOptions.DEFAULT.with(adaptation));
    }

    private static Trainer trainer(Model model, Precision precision, Backend backend) {
        return new Trainer(model,
                Trainer.Options.of(new Loss.BinaryCrossEntropy(List.of()), OptimizerSpec.adam(1e-2), precision, BATCH),
                backend);
    }

    private static void fill(Trainer t, long seed) {
        long key = Seeds.key(seed, "images");
        for (long i = 0; i < t.images().byteSize() / 4; i++)
            t.images().setAtIndex(ValueLayout.JAVA_FLOAT, i, 2 * Seeds.uniform(key, i) - 1);
        for (long i = 0; i < t.labels().byteSize() / 4; i++)
            t.labels().setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) (i % 2));
    }

    private static Set<String> names(WeightTable table, Region region) {
        return table.entries().stream().filter(e -> e.region() == region).map(WeightTable.Entry::name)
                .collect(Collectors.toCollection(TreeSet::new));
    }

    @Test
    void patternsChooseNamesAndEnclosingLayers() {
        assertTrue(new NamePattern("layer4").fits("layer4.0.conv1.weight"));
        assertTrue(new NamePattern("layer4.*").fits("layer4.0.conv1.weight"));
        assertTrue(new NamePattern("*.bn?").fits("layer1.0.bn2.running_mean"));
        assertTrue(new NamePattern("fc1.weight").fits("fc1.weight"));
        assertFalse(new NamePattern("fc").fits("fc1.weight"));
        assertFalse(new NamePattern("conv").fits("layer4.0.conv"));
        assertFalse(new NamePattern("a.c").fits("abc"));
        assertThrows(IllegalArgumentException.class, () -> new NamePattern(" "));
    }

    @Test
    void regionsFollowThePatterns() {
        WeightTable lora = model("convnet2", Adaptation.lora(LORA)).table();
        assertEquals(Set.of("fc1.lora_A", "fc1.lora_B", "fc2.lora_A", "fc2.lora_B"), names(lora, Region.TRAINABLE));
        assertEquals(8, names(lora, Region.FROZEN).size());
        assertEquals(4 * (4096 + 128 + 128 + 2), lora.exchanged().length());

        WeightTable head = model("convnet2", Adaptation.only("fc*")).table();
        assertEquals(Set.of("fc1.bias", "fc1.weight", "fc2.bias", "fc2.weight"), names(head, Region.TRAINABLE));
        WeightTable both = model("convnet2",
                new Adaptation(List.of("fc2.bias"), List.of("fc2"), java.util.Optional.of(LORA))).table();
        assertTrue(names(both, Region.TRAINABLE).contains("fc2.weight"));
        assertFalse(names(both, Region.TRAINABLE).contains("fc2.bias"));

        WeightTable resnet = model("resnet34", Adaptation.only("layer4", "fc")).table();
        assertEquals(Region.FROZEN, resnet.entry("layer3.0.bn1.running_mean").region());
        assertEquals(Region.STATISTICS, resnet.entry("layer4.0.bn1.running_mean").region());
        assertEquals(Region.TRAINABLE, resnet.entry("fc.weight").region());
    }

    @Test
    void aPatternThatChoosesNothingIsNamed() {
        var frozen = assertThrows(IllegalArgumentException.class, () -> model("convnet2", Adaptation.frozen("conv9")));
        assertTrue(frozen.getMessage().contains("conv9") && frozen.getMessage().contains("conv1.weight"),
                frozen.getMessage());
        var lora = assertThrows(IllegalArgumentException.class,
                () -> model("convnet2", Adaptation.lora(new Lora(4, 8, List.of("fc1.weight")))));
        assertTrue(lora.getMessage().contains("fc1.weight") && lora.getMessage().contains("conv2"), lora.getMessage());
        assertThrows(IllegalArgumentException.class, () -> new Lora(0, 8, List.of("fc1")));
        assertThrows(IllegalArgumentException.class, () -> new Lora(4, 0, List.of("fc1")));
        assertThrows(IllegalArgumentException.class, () -> new Lora(4, 8, List.of()));
    }

    @Test
    void attributesThatANetworkDoesNotKnowAreRefused() {
        var e = assertThrows(IllegalArgumentException.class, () -> Zoo.model("convnet2", IMAGE, 2,
                ModelOptions.DEFAULT.with(java.util.Map.of("init_filters", List.of(8)))));
        assertTrue(e.getMessage().contains("init_filters"), e.getMessage());
    }

    /** No gradient op reads or makes anything of a frozen weight, and less is kept for the way back. */
    @Test
    void frozenWeightsCostNothingOnTheWayBack() {
        try (Backend backend = Backends.cpu(1);
                Trainer full = trainer(model("convnet2", Adaptation.NONE), Precision.FP32, backend);
                Trainer lora = trainer(model("convnet2", Adaptation.lora(LORA)), Precision.FP32, backend)) {
            assertEquals(Set.of("fc1.lora_A", "fc1.lora_B", "fc2.lora_A", "fc2.lora_B"),
                    lora.program().graph().parameterGradients().keySet());
            assertTrue(full.program().listing().stream().anyMatch(l -> l.startsWith("conv_backward_weights conv1")));
            for (String line : lora.program().listing())
                assertFalse(line.startsWith("conv_backward") || line.startsWith("max_pool_backward"), line);
            assertEquals(1, lora.program().listing().stream().filter(l -> l.startsWith("linear_backward_data fc1"))
                    .count(), "through B of fc1 only: nothing below is trained");
            assertTrue(lora.program().plan().bytes() < full.program().plan().bytes());
            assertTrue(kept(lora.program()) < 0.3 * kept(full.program()),
                    kept(lora.program()) + " and " + kept(full.program()));
        }
    }

    /** Bytes that the forward pass leaves for the way back. */
    private static long kept(Program program) {
        int loss = 0;
        for (Node n : program.graph().nodes()) {
            if (n.outputs().contains(program.graph().outputs().get(Loss.LOSS))) break;
            loss++;
        }
        int middle = loss;
        return program.plan().blocks().stream().filter(b -> b.first() >= 0 && b.first() < middle && b.last() > middle)
                .mapToLong(Plan.Block::bytes).sum();
    }

    @ParameterizedTest
    @ValueSource(strings = {"convnet2", "xraynet", "resnet34"})
    void trainingMovesTheAdaptersAndNothingElse(String name) {
        Model model = model(name, Adaptation.lora(new Lora(2, 4, List.of("*"))));
        try (Backend backend = Backends.cpu(1);
                Trainer t = trainer(model, Precision.FP32, backend);
                Arena arena = Arena.ofConfined()) {
            model.initialize(t.weights(), 1);
            WeightBuffer before = WeightBuffer.allocate(model.table(), arena);
            before.copyFrom(t.weights());
            fill(t, 1);
            backend.enter();
            t.forwardBackward();
            double first = t.loss();
            t.update(1);
            for (int i = 0; i < 8; i++) {
                t.forwardBackward();
                t.update(1);
            }
            assertTrue(t.loss() < first, t.loss() + " is not less than " + first);
            assertTrue(names(model.table(), Region.STATISTICS).stream().noneMatch(n -> n.contains("running")),
                    "the statistics of a frozen base do not travel");
            for (WeightTable.Entry e : model.table().entries()) {
                long mismatch = before.slice(e).mismatch(t.weights().slice(e));
                if (e.region() == Region.FROZEN) assertEquals(-1, mismatch, e.name() + " is frozen");
                else
                    assertNotEquals(-1, mismatch, e.name() + " is trained");
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"convnet2", "xraynet", "resnet34"})
    void anAdaptedNetworkStartsAsItsBaseAndMergesIntoIt(String name) {
        Model plain = model(name, Adaptation.NONE);
        Model adapted = plain.with(Adaptation.lora(new Lora(3, 5, List.of("*"))));
        try (Backend backend = Backends.cpu(1); Arena arena = Arena.ofConfined()) {
            backend.enter();
            WeightBuffer base = WeightBuffer.allocate(plain.table(), arena);
            plain.initialize(base, 7);
            WeightBuffer weights = WeightBuffer.allocate(adapted.table(), arena);
            adapted.initialize(weights, 7);
            List<String> adapters = weights.copyByName(base);
            assertTrue(adapters.stream().allMatch(n -> n.contains("lora_")) && !adapters.isEmpty(),
                    adapters.toString());
            float[] start = logits(plain, base, backend);
            assertClose(start, logits(adapted, weights, backend), 1e-6);

            for (String n : adapters)
                if (n.endsWith("lora_B")) new Init.Uniform(0.2f).fill(weights.slice(n), 3, n);
            float[] moved = logits(adapted, weights, backend);
            assertTrue(distance(moved, start) > 0.01, "the adapters do nothing");
            WeightBuffer merged = WeightBuffer.allocate(plain.table(), arena);
            Merge.into(adapted, weights, merged);
            assertClose(moved, logits(plain, merged, backend), 1e-4);
        }
    }

    private static float[] logits(Model model, WeightBuffer weights, Backend backend) {
        try (Evaluator e = new Evaluator(model, weights, BATCH, Precision.FP32, backend)) {
            MemorySegment images = e.images();
            long key = Seeds.key(5, "images");
            for (long i = 0; i < images.byteSize() / 4; i++)
                images.setAtIndex(ValueLayout.JAVA_FLOAT, i, 2 * Seeds.uniform(key, i) - 1);
            e.run();
            return e.logits().toArray(ValueLayout.JAVA_FLOAT);
        }
    }

    private static double distance(float[] a, float[] b) {
        double distance = 0;
        double length = 0;
        for (int i = 0; i < a.length; i++) {
            distance += Math.pow((double) a[i] - b[i], 2);
            length += Math.pow(b[i], 2);
        }
        return Math.sqrt(distance / length);
    }

    private static void assertClose(float[] expected, float[] got, double tolerance) {
        assertTrue(distance(got, expected) <= tolerance, "off by " + distance(got, expected));
    }

    @Test
    void adaptersNeedABaseOfTheSameShapes() {
        try (Arena arena = Arena.ofConfined()) {
            WeightBuffer two = WeightBuffer.allocate(model("convnet2", Adaptation.NONE).table(), arena);
            WeightBuffer three = WeightBuffer
                    .allocate(Zoo.model("convnet2", IMAGE, 3, ModelOptions.DEFAULT).table(), arena);
            var e = assertThrows(IllegalArgumentException.class, () -> three.copyByName(two));
            assertTrue(e.getMessage().contains("fc2.weight"), e.getMessage());
        }
    }
}
