package isthmus.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.backend.Kernel;
import isthmus.backend.Precision;
import isthmus.graph.MemoryException;
import isthmus.nn.Model;
import isthmus.op.Node;
import isthmus.op.Value;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A batch that does not fit is refused before memory is taken, with the largest one that fits. */
class BatchLimitTest {
    private static final double CURVE = 1.07;

    @ParameterizedTest
    @ValueSource(longs = {0, 99, 100, 101, 5_000, 123_456, 9_999_999})
    void theLargestThatFitsIsFoundInFewPlans(long free) {
        for (double power : new double[]{1, CURVE, 1 / CURVE}) {
            var plans = new AtomicInteger();
            java.util.function.IntToLongFunction need = b -> 37 + (long) (63 * Math.pow(b, power));
            int over = 1_000_000;
            int got = new BatchLimit(b -> {
                plans.incrementAndGet();
                return need.applyAsLong(b);
            }, free).largest(over, need.applyAsLong(over));
            assertTrue(got == 0 || need.applyAsLong(got) <= free, got + " does not fit");
            assertTrue(need.applyAsLong(got + 1) > free, got + 1 + " fits as well");
            assertTrue(plans.get() <= 25, plans + " plans");
        }
    }

    /** The CPU with little memory left. */
    private record Small(Backend cpu, long freeBytes) implements Backend {
        @Override
        public String name() { return cpu.name(); }

        @Override
        public Optional<Kernel> prepare(Node node, Function<Value, DType> types) { return cpu.prepare(node, types); }

        @Override
        public MemorySegment allocate(long bytes, Arena arena) { return cpu.allocate(bytes, arena); }

        @Override
        public Optional<String> halfProblem() { return cpu.halfProblem(); }

        @Override
        public void enter() { cpu.enter(); }

        @Override
        public void close() { cpu.close(); }
    }

    private static Trainer trainer(int batch, Backend backend) {
        Model model = Zoo.model("xraynet", Shape.of(1, 32, 32), 2, ModelOptions.DEFAULT);
        return new Trainer(model, Trainer.Options.of(new Loss.BinaryCrossEntropy(List.of()), OptimizerSpec.adam(1e-3),
                Precision.FP32, batch), backend);
    }

    @Test
    void theRefusalNamesABatchThatTrainsAndIsTheLargest() {
        try (Backend backend = new Small(Backends.cpu(1), 20_000_000)) {
            MemoryException e = assertThrows(MemoryException.class, () -> trainer(5000, backend));
            assertTrue(e.needed() > e.free() && e.free() == 20_000_000, e.getMessage());
            var text = java.util.regex.Pattern
                    .compile("model xraynet, batch 5000: a training step needs [0-9.]+ GB, 0\\.02 GB are free; "
                            + "the largest batch that fits is (\\d+)")
                    .matcher(e.getMessage());
            assertTrue(text.matches(), e.getMessage());
            int fits = Integer.parseInt(text.group(1));
            trainer(fits, backend).close();
            assertThrows(MemoryException.class, () -> trainer(fits + 1, backend));
        }
    }

    @Test
    void whereNotEvenOneSampleFitsItSaysSo() {
        try (Backend backend = new Small(Backends.cpu(1), 1000)) {
            String text = assertThrows(MemoryException.class, () -> trainer(8, backend)).getMessage();
            assertTrue(text.contains("not even one sample fits"), text);
        }
    }

    @Test
    void theCpuKnowsItsFreeMemory() {
        try (Backend backend = Backends.cpu(1)) {
            long free = backend.freeBytes();
            assertTrue(free > 50_000_000 && free < 1L << 50, free + " bytes");
        }
        assertEquals(0, new BatchLimit(b -> b, 0).largest(1, 1));
    }
}
