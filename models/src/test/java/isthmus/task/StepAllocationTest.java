package isthmus.task;

import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.backend.Precision;
import isthmus.nn.Model;
import isthmus.tensor.Shape;
import isthmus.train.BatchSource;
import isthmus.train.Clip;
import isthmus.train.Ema;
import isthmus.train.Loss;
import isthmus.train.LossScaling;
import isthmus.train.OptimizerSpec;
import isthmus.train.ParameterGroup;
import isthmus.train.Schedule;
import isthmus.train.Trainer;
import isthmus.train.UpdateRule;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.util.List;
import java.util.function.DoubleSupplier;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A training step leaves nothing for the garbage collector, whatever a recipe asks of it. */
class StepAllocationTest {
    private static final int STEPS = 1000;

    @ParameterizedTest
    @EnumSource(Precision.class)
    void groupsClippingAveragingAccumulationAndScalingAllocateNothing(Precision precision) {
        var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
        var rule = new UpdateRule(OptimizerSpec.adamw(1e-3, 0.01), List.of(ParameterGroup.of("fc2", 12)),
                new Schedule(0.1, 0.1), new Clip(List.of(new Clip.Phase(0.5, 3), new Clip.Phase(1, 1.5))),
                new LossScaling(1024, 2, 0.5, 100), new Ema(0.99, true));
        Model model = Zoo.model("convnet2", Shape.of(1, 4, 4), 2, ModelOptions.dropout(0.5));
        var options = new Trainer.Options(new Loss.BinaryCrossEntropy(List.of()), rule, precision, 2, 2, 1);
        try (Backend backend = Backends.cpu(1); Trainer t = new Trainer(model, options, backend)) {
            backend.enter();
            model.initialize(t.weights(), 1);
            t.begin(0, 1_000_000, 0);
            long least = Long.MAX_VALUE;
            // Native downcalls box addresses until they are compiled, whenever that is.
            for (int round = 0; round < 60 && least >= STEPS; round++) {
                long before = threads.getCurrentThreadAllocatedBytes();
                steps(t);
                least = Math.min(least, threads.getCurrentThreadAllocatedBytes() - before);
            }
            assertTrue(least < STEPS, least + " bytes in " + STEPS + " steps");
        }
    }

    /** Whole steps on a device, with a new batch each. */
    @Test
    void stepsOnADeviceAllocateNothing() {
        Backends.all().stream().filter(p -> p.name().equals("cuda-emulated")).findFirst().orElseThrow().problem()
                .ifPresent(p -> Assumptions.abort("the emulation is not built: " + p));
        var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
        var rule = UpdateRule.of(OptimizerSpec.adamw(1e-3, 0.01)).with(Clip.norm(1));
        Model model = Zoo.model("convnet2", Shape.of(1, 4, 4), 2, ModelOptions.dropout(0.5));
        var options = new Trainer.Options(new Loss.BinaryCrossEntropy(List.of()), rule, Precision.F16, 2, 1, 1);
        try (Backend backend = Backends.open("cuda-emulated", 1); Trainer t = new Trainer(model, options, backend)) {
            backend.enter();
            model.initialize(t.weights(), 1);
            t.begin(0, 1_000_000, 0);
            long least = Long.MAX_VALUE;
            var source = new Zeros();
            for (int round = 0; round < 60 && least >= STEPS; round++) {
                long before = threads.getCurrentThreadAllocatedBytes();
                t.pass(source, source);
                least = Math.min(least, threads.getCurrentThreadAllocatedBytes() - before);
            }
            assertTrue(least < STEPS, least + " bytes in " + STEPS + " steps");
        }
    }

    /** Batches of nothing. */
    private static final class Zeros implements BatchSource, Trainer.Progress {
        @Override
        public int batchSize() { return 2; }

        @Override
        public int batches() { return STEPS; }

        @Override
        public int next(MemorySegment images, MemorySegment labels) {
            images.fill((byte) 0);
            labels.fill((byte) 0);
            return 2;
        }

        @Override
        public void step(int batch, int batches, long samples, DoubleSupplier loss) {}
    }

    private static void steps(Trainer t) {
        for (int i = 0; i < STEPS; i++) {
            t.forwardBackward();
            t.forwardBackward();
            t.update(1);
        }
    }
}
