package isthmus.train;

import static isthmus.train.MadeUp.floats;
import static isthmus.train.MadeUp.relative;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.backend.Backend;
import isthmus.backend.BackendProvider;
import isthmus.backend.Backends;
import isthmus.backend.Precision;
import isthmus.backend.ReferenceBackend;
import isthmus.nn.Model;
import isthmus.tensor.Shape;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Half precision's dynamic loss scale, with overflows that are forced, on every backend that computes in f16. */
class LossScalingTest {
    private static final Loss LOSS = new Loss.BinaryCrossEntropy(List.of());
    private static final int SIDE = 16;

    /** The plain-Java one, and whatever devices are here. */
    static Stream<String> devices() {
        return Stream.concat(Stream.of("reference"),
                Backends.all().stream().filter(p -> p.problem().isEmpty()).map(BackendProvider::name));
    }

    private static Backend open(String name) {
        return name.equals("reference") ? new ReferenceBackend() : Backends.open(name, 1);
    }

    private static Model model() { return Zoo.model("xraynet", Shape.of(1, SIDE, SIDE), 2, ModelOptions.DEFAULT); }

    private static Trainer trainer(Backend backend, Precision precision, LossScaling scaling, int accumulate) {
        var rule = UpdateRule.of(OptimizerSpec.adam(1e-3)).with(scaling).with(Clip.norm(5));
        Model model = model();
        Trainer t = new Trainer(model, new Trainer.Options(LOSS, rule, precision, 3, accumulate, 1), backend);
        backend.enter();
        model.initialize(t.weights(), 1);
        t.begin(0, 1000, 0);
        new MadeUp(3, 3).next(t.images(), t.labels());
        return t;
    }

    /** From a scale that overflows, down to one that does not: until then nothing moves, then everything does. */
    @ParameterizedTest
    @MethodSource("devices")
    void anOverflowLeavesEverythingButTheScale(String device) {
        try (Backend backend = open(device);
                Trainer t = trainer(backend, Precision.F16, new LossScaling(0x1p36, 64, 0x1p-6, 2), 1)) {
            float[] before = floats(t.weights());
            int skipped = 0;
            double scale = t.lossScale();
            while (true) {
                t.forwardBackward();
                if (t.update(1)) break;
                skipped++;
                scale /= 64;
                assertEquals(scale, t.lossScale(), 0, "the scale backs off");
                assertArrayEquals(before, floats(t.weights()), "weights and running statistics, to the bit");
                assertEquals(0, t.optimizerSteps());
                assertTrue(skipped < 30);
            }
            assertTrue(skipped >= 2, skipped + " overflows at a scale of 2^36");
            assertEquals(1, t.optimizerSteps());
            assertFalse(Arrays.equals(before, floats(t.weights())));
            t.forwardBackward();
            t.update(1);
            assertEquals(64 * scale, t.lossScale(), 0, "two good steps, and it grows again");
        }
    }

    /** The first good step is the one that a run without overflows would have made. */
    @ParameterizedTest
    @MethodSource("devices")
    void skippedStepsLeaveNoTrace(String device) {
        try (Backend backend = open(device)) {
            float[] straight;
            double good;
            try (Trainer t = trainer(backend, Precision.F16, new LossScaling(0x1p32, 2, 0x1p-6, 1000), 2)) {
                int skipped = 0;
                do {
                    t.forwardBackward();
                    t.forwardBackward();
                } while (!t.update(1) && ++skipped < 30);
                assertTrue(skipped > 0);
                good = t.lossScale();
                straight = floats(t.weights());
            }
            try (Trainer t = trainer(backend, Precision.F16, new LossScaling(good, 2, 0.5, 1000), 2)) {
                t.forwardBackward();
                t.forwardBackward();
                assertTrue(t.update(1));
                assertArrayEquals(straight, floats(t.weights()));
            }
        }
    }

    /** Scaled gradients are float32's, times the scale. */
    @ParameterizedTest
    @MethodSource("devices")
    void gradientsAreScaled(String device) {
        try (Backend backend = open(device);
                Trainer half = trainer(backend, Precision.F16, new LossScaling(512, 2, 0.5, 1000), 1);
                Trainer full = trainer(backend, Precision.FP32, LossScaling.DEFAULT, 1)) {
            half.forwardBackward();
            full.forwardBackward();
            assertEquals(full.loss(), half.loss(), 2e-3 * full.loss(), "the loss itself is not scaled");
            float[] expected = floats(full.gradients());
            float[] got = floats(half.gradients());
            for (int i = 0; i < got.length; i++)
                got[i] /= 512;
            assertTrue(relative(got, expected) < 0.02, "off by " + relative(got, expected));
            assertTrue(half.update(1));
            assertTrue(full.update(1));
            assertEquals(full.gradientNorm(), half.gradientNorm(), 0.02 * full.gradientNorm(),
                    "unscaled before clipping");
        }
    }

    /** Small gradients vanish in half precision unless the loss is scaled: what scaling is for. */
    @Test
    void smallGradientsSurviveByTheScale() {
        double plain = error(0x1p-12);
        double scaled = error(1024);
        assertTrue(plain > 10 * scaled && scaled < 0.02, plain + " and, scaled, " + scaled);
    }

    /** How far the gradients are from float32's. */
    private static double error(double scale) {
        try (Backend backend = Backends.cpu(1);
                Trainer half = trainer(backend, Precision.F16, new LossScaling(scale, 2, 0.5, 1000), 1);
                Trainer full = trainer(backend, Precision.FP32, LossScaling.DEFAULT, 1)) {
            half.forwardBackward();
            full.forwardBackward();
            float[] got = floats(half.gradients());
            for (int i = 0; i < got.length; i++)
                got[i] /= (float) scale;
            return relative(got, floats(full.gradients()));
        }
    }

    @ParameterizedTest
    @EnumSource(value = Precision.class, names = "F16", mode = EnumSource.Mode.EXCLUDE)
    void otherPrecisionsDoNotScale(Precision precision) {
        try (Backend backend = Backends.cpu(1); Trainer t = trainer(backend, precision, LossScaling.DEFAULT, 1)) {
            assertEquals(1, t.lossScale());
            t.forwardBackward();
            assertTrue(t.update(1));
            assertEquals(1, t.lossScale());
            assertFalse(t.program().listing().stream().anyMatch(l -> l.contains("loss_scale")), "no op for nothing");
        }
    }

    @Test
    void anOverflowThatNoScaleCuresIsAnError() {
        try (Backend backend = Backends.cpu(1);
                Trainer t = trainer(backend, Precision.F16, new LossScaling(2, 2, 0.5, 1000), 1)) {
            t.weights().slice("head.weight").fill((byte) -1); // no numbers
            String text = assertThrows(TrainingException.class, () -> {
                for (int i = 0; i < 100; i++) {
                    t.forwardBackward();
                    assertFalse(t.update(1));
                }
            }).getMessage();
            assertTrue(text.startsWith("gradients are infinite or no numbers at step 0 even with the loss scaled by "),
                    text);
        }
    }

    @Test
    void refusesNonsense() {
        refused("initial is 0.0", () -> new LossScaling(0, 2, 0.5, 10));
        refused("initial is NaN", () -> new LossScaling(Double.NaN, 2, 0.5, 10));
        refused("growth is 1.0", () -> new LossScaling(1024, 1, 0.5, 10));
        refused("backoff is 1.0", () -> new LossScaling(1024, 2, 1, 10));
        refused("growth_interval is 0", () -> new LossScaling(1024, 2, 0.5, 0));
    }

    private static void refused(String why, org.junit.jupiter.api.function.Executable make) {
        String message = assertThrows(IllegalArgumentException.class, make).getMessage();
        assertTrue(message.contains(why), message);
    }
}
