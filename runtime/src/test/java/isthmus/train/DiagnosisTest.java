package isthmus.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.backend.Precision;
import isthmus.nn.Adaptation;
import isthmus.nn.Lora;
import isthmus.nn.Model;
import isthmus.nn.Network;
import isthmus.nn.Scope;
import isthmus.nn.Seeds;
import isthmus.op.Value;
import isthmus.op.Window;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/** Networks that are built ill, and one that is well. */
class DiagnosisTest {
    private static final int BATCH = 6;
    private static final Window SAME = Window.of(2, 3, 1, 1);

    /** Two convolutions, batch norm, two linear layers; what may go wrong is a choice. */
    private record Small(boolean activations) implements Network {
        @Override
        public Value forward(Scope s, Value x) {
            x = act(s, s.conv("conv1", x, 8, SAME, true));
            x = act(s, s.batchNorm("bn2", s.conv("conv2", x, 8, SAME, true)));
            x = act(s, s.linear("fc1", s.globalAvgPool(x), 16));
            return s.logits("fc2", x, 2);
        }

        private Value act(Scope s, Value x) { return activations ? s.relu(x) : x; }
    }

    private static final class Noise implements BatchSource {
        @Override
        public int batchSize() { return BATCH; }

        @Override
        public int batches() { return 1; }

        @Override
        public int next(MemorySegment images, MemorySegment labels) {
            long key = Seeds.key(3, "images");
            for (long i = 0; i < images.byteSize() / 4; i++)
                images.setAtIndex(ValueLayout.JAVA_FLOAT, i, 2 * Seeds.uniform(key, i) - 1);
            for (long i = 0; i < labels.byteSize() / 4; i++)
                labels.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) (i % 2));
            return BATCH;
        }
    }

    private static Diagnosis diagnose(boolean activations, Adaptation adaptation, Precision precision,
            Consumer<WeightBuffer> change) {
        Model model = new Model("small", new Small(activations), Shape.of(1, 12, 12), adaptation);
        Trainer.Options options = Trainer.Options
                .of(new Loss.BinaryCrossEntropy(List.of()), OptimizerSpec.sgd(0.01), precision, BATCH)
                .with(UpdateRule.of(OptimizerSpec.sgd(0.01)).with(Clip.norm(3)));
        try (Backend backend = Backends.cpu(1); Arena arena = Arena.ofConfined()) {
            WeightBuffer weights = WeightBuffer.allocate(model.table(), arena);
            model.initialize(weights, 1);
            change.accept(weights);
            WeightBuffer before = WeightBuffer.allocate(model.table(), arena);
            before.copyFrom(weights);
            Diagnosis d = Diagnosis.of(model, weights, options, new Noise(), backend);
            assertEquals(-1, before.segment().mismatch(weights.segment()), "the weights were changed");
            return d;
        }
    }

    private static void fill(MemorySegment parameter, float value) {
        for (long i = 0; i < parameter.byteSize() / 4; i++)
            parameter.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
    }

    @Test
    void aHealthyNetworkHasNoWarnings() {
        Diagnosis d = diagnose(true, Adaptation.NONE, Precision.FP32, w -> {});
        assertEquals(List.of(), d.warnings());
        assertEquals(List.of(), d.frozen());
        assertEquals(List.of("conv1", "bn2", "fc1"), d.rectifiers().stream().map(Diagnosis.Rectifier::after).toList());
        assertEquals(List.of(8, 8, 16), d.rectifiers().stream().map(Diagnosis.Rectifier::units).toList());
        assertEquals(List.of("conv1", "conv2", "bn2", "fc1", "fc2"),
                d.layers().stream().map(Diagnosis.Layer::name).toList());
        assertTrue(Math.abs(d.loss() - Math.log(2)) < 0.3, "loss " + d.loss());
        for (Diagnosis.Layer l : d.layers()) {
            assertEquals(0, l.fixed());
            assertTrue(l.gradientNorm().getAsDouble() > 0, l.toString());
            // One step of plain SGD: the change is the learning rate times the gradient.
            assertTrue(l.updateRatio().getAsDouble() > 0 && l.updateRatio().getAsDouble() < 1, l.toString());
        }
    }

    @Test
    void deadUnitsAreCounted() {
        Diagnosis all = diagnose(true, Adaptation.NONE, Precision.BF16, w -> fill(w.slice("conv1.bias"), -100));
        assertEquals(8, all.rectifiers().getFirst().dead());
        assertTrue(all.warnings().contains("the ReLU after conv1: 8 of 8 units are zero for the whole batch"),
                all.warnings().toString());
        assertTrue(all.warnings().stream().anyMatch(w -> w.startsWith("conv1: its gradient is zero")),
                all.warnings().toString());

        Diagnosis some = diagnose(true, Adaptation.NONE, Precision.FP32,
                w -> fill(w.slice("conv1.bias").asSlice(0, 3 * 4), -100));
        assertEquals(3, some.rectifiers().getFirst().dead());
        assertEquals(0.375, some.rectifiers().getFirst().share());
        assertTrue(some.warnings().stream().noneMatch(w -> w.contains("ReLU after conv1")), some.warnings().toString());
    }

    @Test
    void layersWithNothingBetweenAreNamed() {
        Diagnosis d = diagnose(false, Adaptation.lora(new Lora(2, 4, List.of("*"))), Precision.FP32, w -> {});
        List<String> pairs = d.warnings().stream().filter(w -> w.contains("no non-linearity"))
                .map(w -> w.substring(0, w.indexOf(" with"))).toList();
        assertEquals(List.of("conv1 feeds conv2", "conv2 feeds fc1", "fc1 feeds fc2"), pairs);
    }

    @Test
    void frozenLayersHaveNoGradient() {
        Diagnosis d = diagnose(true, Adaptation.only("fc1", "fc2.bias"), Precision.FP32, w -> {});
        assertTrue(d.frozen().containsAll(List.of("conv1.weight", "bn2.running_mean", "fc2.weight")),
                d.frozen().toString());
        assertFalse(d.frozen().contains("fc2.bias"));
        Diagnosis.Layer conv = d.layers().stream().filter(l -> l.name().equals("conv1")).findFirst().orElseThrow();
        assertTrue(conv.gradientNorm().isEmpty() && conv.updateRatio().isEmpty() && conv.trained() == 0);
        assertEquals(8 * 9 + 8, conv.fixed());
        Diagnosis.Layer fc2 = d.layers().stream().filter(l -> l.name().equals("fc2")).findFirst().orElseThrow();
        assertEquals(2, fc2.trained());
        assertEquals(32, fc2.fixed());
    }

    @Test
    void aDivergedNetworkIsSeen() {
        Diagnosis d = diagnose(true, Adaptation.NONE, Precision.FP32, w -> fill(w.slice("fc1.bias"), Float.NaN));
        assertTrue(d.warnings().getFirst().startsWith("the loss is NaN"), d.warnings().toString());
        assertTrue(d.warnings().stream().anyMatch(w -> w.contains("gradient is not finite")), d.warnings().toString());
    }
}
