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
import isthmus.nn.Model;
import isthmus.tensor.Shape;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.OptionalDouble;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Whole steps on the device against the same steps driven by the host, on the CUDA emulation. */
class DeviceStepTest {
    private static final Trainer.Progress QUIET = (batch, batches, samples, loss) -> {};
    private static final Loss LOSS = new Loss.BinaryCrossEntropy(List.of());
    private static final long TOTAL = 12;

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
        return Zoo.model("xraynet", Shape.of(1, 16, 16), 2,
                new ModelOptions(0.25f, 0, ModelOptions.DEFAULT.adaptation(), java.util.Map.of()));
    }

    private Trainer trainer(UpdateRule rule, Precision precision, boolean host) {
        Model model = model();
        Trainer t = new Trainer(model, new Trainer.Options(LOSS, rule, precision, 4, 1, 5), backend, host);
        model.initialize(t.weights(), 1);
        t.begin(0, TOTAL, 0);
        return t;
    }

    static Stream<UpdateRule> rules() {
        var groups = List.of(new ParameterGroup("head", 3, OptionalDouble.of(0)), ParameterGroup.of("*.bias", 0.5));
        return Stream.of(UpdateRule.of(new OptimizerSpec.Sgd(0.05, 0, false, 1e-3)),
                UpdateRule.of(new OptimizerSpec.Sgd(0.05, 0.9, true, 0)).with(groups),
                UpdateRule.of(OptimizerSpec.adamw(1e-3, 0.01)).with(Clip.norm(0.5)).with(new Schedule(0.3, 0.1)),
                UpdateRule.of(new OptimizerSpec.Adam(1e-3, 0.9, 0.99, 1e-8, 0.01, false, true)).with(groups)
                        .with(new Clip(List.of(new Clip.Phase(0.5, 0), new Clip.Phase(1, 0.1)))));
    }

    /** Three passes, each with a batch of two at the end: weights, moments, statistics and counts agree. */
    @ParameterizedTest
    @MethodSource("rules")
    void aPassIsWhatTheHostWouldHaveDone(UpdateRule rule) {
        for (Precision precision : List.of(Precision.FP32, Precision.F16)) {
            try (Trainer device = trainer(rule, precision, false); Trainer host = trainer(rule, precision, true)) {
                for (int pass = 0; pass < 3; pass++)
                    assertEquals(host.pass(new MadeUp(14, 4), QUIET), device.pass(new MadeUp(14, 4), QUIET), 1e-6);
                assertArrayEquals(floats(host.weights()), floats(device.weights()), precision + " " + rule);
                assertEquals(host.optimizerSteps(), device.optimizerSteps());
                assertEquals(host.lossScale(), device.lossScale());
                assertTrue(relative(floats(device.weights()), floats(initial())) > 1e-4, "something was learnt");
            }
        }
    }

    private isthmus.tensor.WeightBuffer initial() {
        try (Trainer t = trainer(UpdateRule.of(OptimizerSpec.sgd(1)), Precision.FP32, true)) {
            var copy = isthmus.tensor.WeightBuffer.allocate(t.weights().table(), java.lang.foreign.Arena.ofAuto());
            copy.copyFrom(t.weights());
            return copy;
        }
    }
}
