package isthmus.train;

import static isthmus.train.MadeUp.floats;
import static isthmus.train.MadeUp.relative;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.backend.Precision;
import isthmus.nn.Adaptation;
import isthmus.nn.Model;
import isthmus.tensor.Shape;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.DoubleSupplier;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

/** What the trainer does around forward, backward and step: accumulation, incomplete batches, averages, an end, a new start. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class TrainerTest {
    private static final Loss LOSS = new Loss.BinaryCrossEntropy(List.of());
    private static final Trainer.Progress QUIET = (batch, batches, samples, loss) -> {};

    private Backend backend;

    @BeforeAll
    void open() {
        backend = Backends.cpu(1);
        backend.enter();
    }

    @AfterAll
    void close() { backend.close(); }

    private static Model model(String name) { return Zoo.model(name, Shape.of(1, 16, 16), 2, ModelOptions.DEFAULT); }

    private static Trainer.Options options(int batch, int accumulate) {
        return Trainer.Options.of(LOSS, OptimizerSpec.sgd(0.05), Precision.FP32, batch).withBatch(batch, accumulate);
    }

    private Trainer trainer(String name, Trainer.Options options) {
        Model model = model(name);
        Trainer trainer = new Trainer(model, options, backend);
        model.initialize(trainer.weights(), 1);
        return trainer;
    }

    private float[] after(String name, Trainer.Options options, int samples, int passes) {
        try (Trainer t = trainer(name, options)) {
            t.begin(0, 100, 0);
            var data = new MadeUp(samples, options.batch());
            for (int i = 0; i < passes; i++)
                t.pass(data, QUIET);
            return floats(t.weights());
        }
    }

    @Test
    void accumulatedBatchesAreOneLargeBatch() {
        var clip = UpdateRule.of(OptimizerSpec.adamw(1e-3, 0.01)).with(Clip.norm(0.5));
        float[] large = after("convnet2", options(12, 1).with(clip), 36, 2);
        float[] summed = after("convnet2", options(3, 4).with(clip), 36, 2);
        assertTrue(relative(summed, large) < 1e-5, "off by " + relative(summed, large));
        float[] single = after("convnet2", options(3, 1).with(clip), 36, 2);
        assertTrue(relative(single, large) > 1e-3, "many small steps are something else");
    }

    /** Nine batches of four at a time make three steps, the last of one batch; the same as a source that ends there. */
    @Test
    void whatIsLeftOfAPassMakesAStep() {
        try (Trainer t = trainer("convnet2", options(3, 4))) {
            t.begin(0, 100, 0);
            t.pass(new MadeUp(27, 3), QUIET);
            assertEquals(3, t.optimizerSteps());
            assertEquals(3, t.steps(9));
        }
    }

    /** Batch normalisation sees the two samples that are left and nothing else. */
    @Test
    void anIncompleteBatchIsTrainedAsItIs(@TempDir Path folder) throws IOException {
        var data = new MadeUp(10, 4);
        Path moments = folder.resolve("moments.safetensors");
        float[] expected;
        try (Trainer fours = trainer("xraynet", options(4, 1)); Trainer two = trainer("xraynet", options(2, 1))) {
            fours.begin(0, 100, 0);
            fours.pass(new MadeUp(8, 4), QUIET);
            fours.saveOptimizer(moments, Map.of("round", "7"));
            two.weights().copyFrom(fours.weights());
            assertEquals("7", two.loadOptimizer(moments).get("round"));
            two.resume(2, 100, 0);
            var rest = new MadeUp(10, 2);
            for (int i = 0; i < 5; i++)
                rest.next(two.images(), two.labels());
            two.forwardBackward();
            two.update(1);
            expected = floats(two.weights());
        }
        try (Trainer t = trainer("xraynet", options(4, 1))) {
            t.begin(0, 100, 0);
            t.pass(data, QUIET);
            assertEquals(3, t.optimizerSteps());
            assertArrayEquals(expected, floats(t.weights()));
        }
    }

    @Test
    void momentsThatWereWrittenGoOnToTheBit(@TempDir Path folder) throws IOException {
        Path file = folder.resolve("optimizer.safetensors");
        var rule = UpdateRule.of(new OptimizerSpec.Adam(1e-3, 0.9, 0.999, 1e-8, 0.01, true, true));
        float[] whole = after("xraynet", options(4, 1).with(rule), 8, 4);
        try (Trainer a = trainer("xraynet", options(4, 1).with(rule));
                Trainer b = trainer("xraynet", options(4, 1).with(rule))) {
            a.begin(0, 100, 0);
            a.pass(new MadeUp(8, 4), QUIET);
            a.pass(new MadeUp(8, 4), QUIET);
            a.saveOptimizer(file, Map.of());
            b.weights().copyFrom(a.weights());
            b.loadOptimizer(file);
            b.resume(4, 100, 0);
            b.pass(new MadeUp(8, 4), QUIET);
            b.pass(new MadeUp(8, 4), QUIET);
            assertArrayEquals(whole, floats(b.weights()));
        }
        try (Trainer other = trainer("xraynet", options(4, 1))) {
            String text = assertThrows(RuntimeException.class, () -> other.loadOptimizer(file)).getMessage();
            assertTrue(text.contains(file + ": not the weights of this model; [momentum_buffer.input.weight"), text);
        }
    }

    @Test
    void theAverageIsOfWeightsAndStatistics() {
        var rule = UpdateRule.of(OptimizerSpec.sgd(0.05)).with(new Ema(0.75, false));
        try (Trainer t = trainer("xraynet", options(4, 1).with(rule))) {
            t.begin(0, 100, 0);
            float[] mean = floats(t.weights());
            assertArrayEquals(mean, floats(t.averaged()), "it begins with the weights");
            for (int step = 0; step < 5; step++) {
                new MadeUp(4, 4).next(t.images(), t.labels());
                t.forwardBackward();
                t.update(1);
                float[] now = floats(t.weights());
                for (int i = 0; i < mean.length; i++)
                    mean[i] = 0.75f * mean[i] + 0.25f * now[i];
            }
            assertTrue(relative(floats(t.averaged()), mean) < 1e-6);
            assertTrue(relative(floats(t.weights()), mean) > 1e-3, "the weights themselves are elsewhere");
        }
        try (Trainer t = trainer("xraynet", options(4, 1))) {
            assertEquals(t.weights(), t.averaged(), "no average, no second buffer");
        }
    }

    @Test
    void earlyStepsCountMoreWhileTheAverageWarmsUp() {
        var ema = new Ema(0.99, true);
        assertEquals(2.0 / 11, ema.decay(1), 1e-15);
        assertEquals(0.99, ema.decay(100_000), 0);
        assertEquals(0.99, new Ema(0.99, false).decay(1), 0);
    }

    @Test
    void aPassEndsWhenItsListenerHasEnough() {
        try (Trainer t = trainer("convnet2", options(3, 2))) {
            t.begin(0, 100, 0);
            int[] seen = new int[1];
            t.pass(new MadeUp(30, 3), new Trainer.Progress() {
                @Override
                public void step(int batch, int batches, long samples, DoubleSupplier loss) { seen[0] = batch; }

                @Override
                public boolean enough() { return seen[0] >= 3; }
            });
            assertEquals(4, seen[0], "the step that was begun is finished");
            assertEquals(2, t.optimizerSteps());
        }
    }

    @Test
    void frozenWeightsStayAndNothingToTrainIsRefused() {
        Model part = model("convnet2").with(Adaptation.only("fc2"));
        try (Trainer t = new Trainer(part, options(3, 2), backend)) {
            part.initialize(t.weights(), 1);
            float[] before = t.weights().slice("fc1.weight").toArray(ValueLayout.JAVA_FLOAT);
            float[] head = t.weights().slice("fc2.weight").toArray(ValueLayout.JAVA_FLOAT);
            t.begin(0, 100, 0);
            t.pass(new MadeUp(6, 3), QUIET);
            assertArrayEquals(before, t.weights().slice("fc1.weight").toArray(ValueLayout.JAVA_FLOAT));
            assertFalse(java.util.Arrays.equals(head,
                    t.weights().slice("fc2.weight").toArray(ValueLayout.JAVA_FLOAT)));
        }
        Model none = model("convnet2").with(Adaptation.frozen("*"));
        String text = assertThrows(IllegalArgumentException.class, () -> new Trainer(none, options(3, 1), backend))
                .getMessage();
        assertEquals("training convnet2: every parameter is frozen", text);
    }

    /** Found by the pass that clipping needs anyway: before it can reach the weights. */
    @Test
    void aGradientThatIsNoNumberLeavesTheWeights() {
        var clip = UpdateRule.of(OptimizerSpec.sgd(0.05)).with(Clip.norm(1));
        try (Trainer t = trainer("convnet2", options(3, 1).with(clip))) {
            new MadeUp(3, 3).next(t.images(), t.labels());
            float[] before = floats(t.weights());
            t.forwardBackward();
            t.gradients().slice("fc1.bias").setAtIndex(ValueLayout.JAVA_FLOAT, 5, Float.NaN);
            String text = assertThrows(TrainingException.class, () -> t.update(1)).getMessage();
            assertEquals("a gradient is infinite or no number at step 0: training has diverged; lower the learning rate"
                    + " or set a clip norm", text);
            assertArrayEquals(before, floats(t.weights()));
        }
    }
}
