package isthmus.train;

import static isthmus.train.MadeUp.floats;
import static isthmus.train.MadeUp.relative;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.backend.Precision;
import isthmus.nn.Adaptation;
import isthmus.nn.Model;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.function.DoubleSupplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Whole steps on the device against the same steps driven by the host, on the CUDA emulation. Its arithmetic is the host
 * compiler's for both, so they agree to the bit there.
 */
class DeviceStepTest {
    private static final Trainer.Progress QUIET = (batch, batches, samples, loss) -> {};
    private static final Loss LOSS = new Loss.BinaryCrossEntropy(List.of());
    private static final long TOTAL = 12;
    private static final int HOST = 0;
    private static final int DEVICE = DeviceSteps.ROWS;
    private static final UpdateRule ADAMW = UpdateRule.of(OptimizerSpec.adamw(1e-3, 0.01)).with(Clip.norm(0.5))
            .with(new Schedule(0.3, 0.1));

    private Backend backend;

    @BeforeEach
    void open() {
        Backends.all().stream().filter(p -> p.name().equals("cuda-emulated")).findFirst().orElseThrow().problem()
                .ifPresent(p -> Assumptions.abort("the emulation is not built: " + p));
        backend = Backends.open("cuda-emulated", 1);
        backend.enter();
    }

    @AfterEach
    void close() { if (backend != null) backend.close(); }

    private static Model model() {
        return Zoo.model("xraynet", Shape.of(1, 16, 16), 2, new ModelOptions(0.25f, 0, Adaptation.NONE, Map.of()));
    }

    private Trainer trainer(UpdateRule rule, Precision precision, int steps) {
        return trainer(rule, precision, 1, steps);
    }

    private Trainer trainer(UpdateRule rule, Precision precision, int accumulate, int steps) {
        Model model = model();
        Trainer t = new Trainer(model, new Trainer.Options(LOSS, rule, precision, 4, accumulate, 5), backend, steps);
        model.initialize(t.weights(), 1);
        t.begin(0, TOTAL, 0);
        return t;
    }

    static Stream<UpdateRule> rules() {
        var groups = List.of(new ParameterGroup("head", 3, OptionalDouble.of(0)), ParameterGroup.of("*.bias", 0.5));
        return Stream.of(UpdateRule.of(new OptimizerSpec.Sgd(0.05, 0, false, 1e-3)),
                UpdateRule.of(new OptimizerSpec.Sgd(0.05, 0.9, true, 0)).with(groups), ADAMW,
                UpdateRule.of(new OptimizerSpec.Adam(1e-3, 0.9, 0.99, 1e-8, 0.01, false, true)).with(groups)
                        .with(new Clip(List.of(new Clip.Phase(0.5, 0), new Clip.Phase(1, 0.1)))));
    }

    /** Three passes, each with a batch of two at the end: weights, statistics, moments and counts agree. */
    @ParameterizedTest
    @MethodSource("rules")
    void aPassIsWhatTheHostWouldHaveDone(UpdateRule rule) {
        for (Precision precision : List.of(Precision.FP32, Precision.F16, Precision.BF16)) {
            try (Trainer device = trainer(rule, precision, DEVICE); Trainer host = trainer(rule, precision, HOST)) {
                float[] before = floats(device.weights());
                for (int pass = 0; pass < 3; pass++)
                    assertEquals(host.pass(new MadeUp(14, 4), QUIET), device.pass(new MadeUp(14, 4), QUIET), 1e-12);
                same(host, device);
                assertTrue(relative(floats(device.weights()), before) > 1e-4, "something was learnt");
            }
        }
    }

    /** Gradients of three batches summed, an average that warms up, and a pull towards the beginning, all at once. */
    @Test
    void sumsAveragesAndPullsAreTheHosts() {
        var rule = ADAMW.with(new Ema(0.9, true)).with(new LossScaling(0x1p22, 4, 0.25, 2));
        for (Precision precision : List.of(Precision.FP32, Precision.F16)) {
            try (Trainer device = trainer(rule, precision, 3, DEVICE);
                    Trainer host = trainer(rule, precision, 3, HOST)) {
                for (Trainer t : List.of(device, host)) {
                    t.pass(new MadeUp(38, 4), QUIET);
                    t.resume(t.optimizerSteps(), TOTAL, 0.3);
                    t.pass(new MadeUp(38, 4), QUIET);
                    t.pass(new MadeUp(16, 4), QUIET);
                }
                same(host, device);
                assertArrayEquals(floats(host.averaged()), floats(device.averaged()));
                assertTrue(relative(floats(device.averaged()), floats(device.weights())) > 1e-4);
                assertTrue(device.optimizerSteps() > 4, "a good part counts");
            }
        }
    }

    private static void same(Trainer host, Trainer device) {
        assertArrayEquals(floats(host.weights()), floats(device.weights()));
        assertArrayEquals(floats(host.moments()), floats(device.moments()));
        assertEquals(host.optimizerSteps(), device.optimizerSteps());
        assertEquals(host.lossScale(), device.lossScale());
    }

    /** The loss overflows at first: until the scale has fallen nothing else changes; after good steps it grows. */
    @Test
    void overflowsLeaveAllButTheScale() {
        var rule = ADAMW.with(new LossScaling(0x1p40, 4, 0.25, 3));
        try (Trainer device = trainer(rule, Precision.F16, DEVICE); Trainer host = trainer(rule, Precision.F16, HOST)) {
            float[] before = floats(device.weights());
            device.pass(new MadeUp(4, 4), QUIET);
            assertArrayEquals(before, floats(device.weights()));
            for (float m : floats(device.moments()))
                assertEquals(0, m);
            assertEquals(0, device.optimizerSteps());
            assertEquals(0x1p38, device.lossScale());
            host.pass(new MadeUp(4, 4), QUIET);
            for (int pass = 0; pass < 6; pass++) {
                host.pass(new MadeUp(12, 4), QUIET);
                device.pass(new MadeUp(12, 4), QUIET);
                same(host, device);
            }
            assertTrue(device.optimizerSteps() > 3 && device.optimizerSteps() < 17, "some steps, not all");
        }
    }

    @Test
    void whatDivergesIsToldAndLeavesTheWeights() {
        try (Trainer device = trainer(ADAMW, Precision.FP32, DEVICE)) {
            device.pass(new MadeUp(12, 4), QUIET);
            device.weights().slice("head.weight").fill((byte) -1); // no numbers
            float[] before = floats(device.weights());
            String text = assertThrows(TrainingException.class, () -> device.pass(new MadeUp(12, 4), QUIET))
                    .getMessage();
            assertEquals("the loss is NaN at step 3: training has diverged; lower the learning rate or set a clip norm",
                    text);
            assertArrayEquals(before, floats(device.weights()), "statistics included");
        }
        var small = ADAMW.with(new LossScaling(2, 2, 0.5, 1000));
        try (Trainer device = trainer(small, Precision.F16, DEVICE)) {
            device.weights().slice("head.weight").fill((byte) -1);
            String text = assertThrows(TrainingException.class, () -> device.pass(new MadeUp(100, 4), QUIET))
                    .getMessage();
            assertTrue(text.startsWith("gradients are infinite or no numbers at step 0 even with the loss scaled by "),
                    text);
        }
    }

    /** Whoever looks at the weights, changes them, or stops a pass: training goes on from there. */
    @Test
    void theHostMayLookAndChange() {
        Trainer.Progress looks = (batch, batches, samples, loss) -> assertTrue(loss.getAsDouble() > 0);
        try (Trainer device = trainer(ADAMW, Precision.F16, DEVICE);
                Trainer host = trainer(ADAMW, Precision.F16, HOST)) {
            for (Trainer t : List.of(device, host)) {
                t.pass(new MadeUp(8, 4), looks);
                t.pass(new MadeUp(20, 4), new Trainer.Progress() {
                    private int seen;

                    @Override
                    public void step(int batch, int batches, long samples, DoubleSupplier loss) {
                        seen = batch;
                        MemorySegment bias = t.weights().slice("head.bias");
                        bias.setAtIndex(ValueLayout.JAVA_FLOAT, 0, bias.getAtIndex(ValueLayout.JAVA_FLOAT, 0) + 0.5f);
                    }

                    @Override
                    public boolean enough() { return seen == 3; }
                });
                new MadeUp(4, 4).next(t.images(), t.labels());
                t.forwardBackward();
                t.update(0.5);
                t.pass(new MadeUp(8, 4), QUIET);
            }
            same(host, device);
        }
    }

    /** What changes from step to step is told a few steps at a time. */
    @Test
    void aLongPassIsToldItsCourseInPieces() {
        try (Trainer pieces = trainer(ADAMW, Precision.F16, 3); Trainer whole = trainer(ADAMW, Precision.F16, DEVICE)) {
            pieces.pass(new MadeUp(40, 4), QUIET);
            whole.pass(new MadeUp(40, 4), QUIET);
            same(whole, pieces);
        }
    }

    @Test
    void recordedStepsAreThoseMadeOneByOne() {
        try (Trainer recorded = trainer(ADAMW, Precision.F16, DEVICE)) {
            recorded.pass(new MadeUp(22, 4), QUIET);
            System.setProperty("isthmus.cuda.graphs", "false");
            try (Trainer plain = trainer(ADAMW, Precision.F16, DEVICE)) {
                plain.pass(new MadeUp(22, 4), QUIET);
                same(plain, recorded);
            } finally {
                System.clearProperty("isthmus.cuda.graphs");
            }
        }
    }

    @Test
    void momentsGoOnFromAFile(@TempDir Path folder) throws IOException {
        Path file = folder.resolve("optimizer.safetensors");
        try (Trainer a = trainer(ADAMW, Precision.F16, DEVICE);
                Trainer b = trainer(ADAMW, Precision.F16, DEVICE)) {
            a.pass(new MadeUp(12, 4), QUIET);
            a.saveOptimizer(file, Map.of());
            b.weights().copyFrom(a.weights());
            b.loadOptimizer(file);
            b.resume(3, TOTAL, 0);
            a.pass(new MadeUp(12, 4), QUIET);
            b.pass(new MadeUp(12, 4), QUIET);
            same(a, b);
        }
    }

    /** The copy of the weights that is computed with is the update's, and as fresh as one made of the weights. */
    @Test
    void evaluationSeesTheNewWeights() {
        for (Precision precision : List.of(Precision.FP32, Precision.F16)) {
            try (Trainer t = trainer(ADAMW, Precision.F16, DEVICE);
                    Arena arena = Arena.ofShared();
                    Evaluator e = new Evaluator(model(), t.weights(), 4, precision, backend)) {
                float[] first = logits(e);
                t.pass(new MadeUp(20, 4), QUIET);
                float[] now = logits(e);
                assertTrue(relative(now, first) > 1e-3);
                var copy = new WeightBuffer(t.weights().table(),
                        backend.allocate(t.weights().table().bytes(), arena));
                copy.copyFrom(t.weights());
                try (Evaluator fresh = new Evaluator(model(), copy, 4, precision, backend)) {
                    assertArrayEquals(logits(fresh), now);
                }
            }
        }
    }

    private static float[] logits(Evaluator e) {
        try (Arena arena = Arena.ofConfined()) {
            new MadeUp(4, 4).next(e.images(), arena.allocate(4 * 2 * Float.BYTES, Float.BYTES));
        }
        e.run();
        return e.logits().toArray(ValueLayout.JAVA_FLOAT);
    }
}
