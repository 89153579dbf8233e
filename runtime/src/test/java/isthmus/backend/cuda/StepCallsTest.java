package isthmus.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.backend.Precision;
import isthmus.bindings.cuda.CudaDriver;
import isthmus.bindings.cuda.CudaLibraries;
import isthmus.nn.Model;
import isthmus.tensor.Shape;
import isthmus.train.BatchSource;
import isthmus.train.Clip;
import isthmus.train.Evaluator;
import isthmus.train.Loss;
import isthmus.train.OptimizerSpec;
import isthmus.train.Trainer;
import isthmus.train.UpdateRule;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.function.DoubleSupplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What a step asks of the driver, counted by the emulation. */
class StepCallsTest {
    private static final int GRAPHS = 0;
    private static final int KERNELS = 1;
    private static final int STREAM_WAITS = 2;
    private static final int EVENT_WAITS = 3;
    private static final int ALLOCATIONS = 4;
    private static final int COPIES_IN = 5;
    private static final int COPIES_OUT = 6;
    private static final int COUNTERS = 7;
    private static final int STEPS = 8;
    private static final int BATCH = 2;

    private Backend backend;

    @BeforeEach
    void open() {
        CudaLibraries.emulated().driver().problem()
                .ifPresent(p -> Assumptions.abort("the emulation is not built: " + p));
        backend = Backends.open("cuda-emulated", 1);
        backend.enter();
    }

    @AfterEach
    void close() { if (backend != null) backend.close(); }

    private static int[] counts() {
        CudaDriver driver = CudaLibraries.emulated().driver();
        int[] all = new int[COUNTERS];
        for (int i = 0; i < COUNTERS; i++)
            all[i] = driver.deviceAttribute(-1 - i, 0);
        return all;
    }

    private static Model model() { return Zoo.model("xraynet", Shape.of(1, 16, 16), 2, ModelOptions.DEFAULT); }

    private Trainer trainer() {
        var rule = UpdateRule.of(OptimizerSpec.adamw(1e-3, 0.01)).with(Clip.norm(1));
        Model model = model();
        Trainer t = new Trainer(model, new Trainer.Options(new Loss.BinaryCrossEntropy(List.of()), rule, Precision.F16,
                BATCH, 1, 1), backend);
        model.initialize(t.weights(), 1);
        t.begin(0, 100, 0);
        return t;
    }

    /** Batches of one number, and the driver's calls between two steps. */
    private static final class Watch implements BatchSource, Trainer.Progress {
        private final boolean stays;
        private final int asked;
        private final int[][] counts = new int[STEPS + 1][];
        private int written;

        Watch(boolean stays, int asked) {
            this.stays = stays;
            this.asked = asked;
        }

        @Override
        public int batchSize() { return BATCH; }

        @Override
        public int batches() { return STEPS; }

        @Override
        public boolean stays() { return stays; }

        @Override
        public int next(MemorySegment images, MemorySegment labels) {
            if (!stays) images.fill((byte) ++written);
            return BATCH;
        }

        @Override
        public void step(int batch, int batches, long samples, DoubleSupplier loss) {
            counts[batch] = counts();
            if (batch == asked) assertTrue(loss.getAsDouble() > 0);
        }

        int[] between(int from, int to) {
            int[] more = new int[COUNTERS];
            for (int i = 0; i < COUNTERS; i++)
                more[i] = counts[to][i] - counts[from][i];
            return more;
        }
    }

    /** One graph, two copies of a batch, three waits for what is long done; nothing else. */
    @Test
    void aStepIsOneGraph() {
        try (Trainer t = trainer()) {
            var watch = new Watch(false, 0);
            t.pass(watch, watch);
            for (int i = 4; i < STEPS; i++) {
                int[] expected = new int[COUNTERS];
                expected[GRAPHS] = 1;
                expected[COPIES_IN] = 2;
                expected[EVENT_WAITS] = 3;
                assertArrayEquals(expected, watch.between(i - 1, i), "step " + i);
            }
        }
    }

    @Test
    void whoAsksForTheLossWaitsAndReadsOnce() {
        try (Trainer t = trainer()) {
            var watch = new Watch(false, 5);
            t.pass(watch, watch);
            int[] more = watch.between(5, 6);
            assertEquals(1, more[STREAM_WAITS]);
            assertEquals(1, more[COPIES_OUT]);
            assertEquals(1, more[GRAPHS]);
        }
    }

    @Test
    void aBatchThatStaysIsNotCopied() {
        try (Trainer t = trainer()) {
            t.images().fill((byte) 1);
            var watch = new Watch(true, 0);
            t.pass(watch, watch);
            int[] expected = new int[COUNTERS];
            expected[GRAPHS] = 1;
            expected[EVENT_WAITS] = 1;
            assertArrayEquals(expected, watch.between(5, 6));
        }
    }

    /** Evaluation has its own recorded program. */
    @Test
    void anEvaluationIsOneGraph() {
        try (Trainer t = trainer(); Evaluator e = new Evaluator(model(), t.weights(), BATCH, Precision.F16, backend)) {
            e.images().fill((byte) 1);
            e.run();
            float[] first = e.logits().toArray(ValueLayout.JAVA_FLOAT);
            e.run();
            int[] before = counts();
            e.run();
            int[] after = counts();
            assertEquals(1, after[GRAPHS] - before[GRAPHS]);
            assertEquals(0, after[KERNELS] - before[KERNELS]);
            assertEquals(0, after[ALLOCATIONS] - before[ALLOCATIONS]);
            assertArrayEquals(first, e.logits().toArray(ValueLayout.JAVA_FLOAT));
        }
    }
}
