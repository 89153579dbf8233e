package isthmus.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.backend.Precision;
import isthmus.bindings.cuda.CudaLibraries;
import isthmus.graph.MemoryException;
import isthmus.nn.Model;
import isthmus.tensor.Shape;
import isthmus.train.BatchSource;
import isthmus.train.Loss;
import isthmus.train.OptimizerSpec;
import isthmus.train.Trainer;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A GPU that is lost in mid-run, and one that has too little memory, as the emulation plays them. */
class LostDeviceTest {
    private static final Trainer.Progress QUIET = (batch, batches, samples, loss) -> {};
    private static final int LOSE = -1000;
    private static final int LIMIT = -1_000_000;
    private static final int MIB = 16;

    @BeforeEach
    void open() {
        CudaLibraries.emulated().driver().problem()
                .ifPresent(p -> Assumptions.abort("the emulation is not built: " + p));
        CudaLibraries.emulated().driver().init();
    }

    @AfterEach
    void reset() {
        tell(LIMIT);
        tell(LOSE);
    }

    /** The emulation's own attributes; see emulation.h. */
    private static void tell(int attribute) {
        CudaLibraries.emulated().driver().deviceAttribute(attribute, 0);
    }

    private static Backend device() {
        Backend backend = Backends.open("cuda-emulated", 1);
        backend.enter();
        return backend;
    }

    private static Trainer trainer(Backend backend, int batch) {
        Model model = Zoo.model("xraynet", Shape.of(1, 16, 16), 2, ModelOptions.DEFAULT);
        Trainer t = new Trainer(model, Trainer.Options.of(new Loss.BinaryCrossEntropy(List.of()),
                OptimizerSpec.adam(1e-3), Precision.F16, batch), backend);
        model.initialize(t.weights(), 1);
        t.begin(0, 100, 0);
        return t;
    }

    private record Same(int batchSize, int batches) implements BatchSource {
        @Override
        public int next(MemorySegment images, MemorySegment labels) {
            images.fill((byte) 1);
            return batchSize;
        }
    }

    /** The first step is made call by call, later ones are graphs: lost in either, it is said which call told. */
    @Test
    void theCallIsNamedAndTheNextGpuWorks() {
        for (int launch : new int[]{20, 400}) {
            try (Backend backend = device(); Trainer t = trainer(backend, 2)) {
                assertTrue(backend.loss().isEmpty());
                tell(LOSE - launch);
                String text = assertThrows(RuntimeException.class, () -> t.pass(new Same(2, 400), QUIET)).getMessage();
                assertTrue(text.contains(launch == 20 ? "cuLaunchKernel: " : "cuGraphLaunch: "), text);
                assertTrue(text.contains("unspecified launch failure (CUDA_ERROR_LAUNCH_FAILED)"), text);
                assertTrue(backend.loss().orElse("").contains("is lost to this process"), "it says so");
                assertThrows(RuntimeException.class, t::weights, "nothing is read from it");
            }
            try (Backend backend = device(); Trainer t = trainer(backend, 2)) {
                assertTrue(Double.isFinite(t.pass(new Same(2, 3), QUIET)), "with a new context all is well");
            }
        }
    }

    @Test
    void anOrdinaryFailureIsNoLoss() {
        try (Backend backend = device(); Trainer t = trainer(backend, 2)) {
            assertThrows(IllegalArgumentException.class, () -> t.pass(new Same(3, 2), QUIET));
            assertTrue(backend.loss().isEmpty());
        }
    }

    /** Need, free, and the largest batch that fits; which then does fit, and one more does not. */
    @Test
    void aBatchThatDoesNotFitIsRefusedWithOneThatDoes() {
        tell(LIMIT - MIB);
        try (Backend backend = device()) {
            String text = assertThrows(MemoryException.class, () -> trainer(backend, 4000).close()).getMessage();
            Matcher m = Pattern
                    .compile("model xraynet, batch 4000: a training step needs 0\\.\\d\\d GB, 0\\.0[12] GB are"
                            + " free; the largest batch that fits is (\\d+)")
                    .matcher(text);
            assertTrue(m.matches(), text);
            int fits = Integer.parseInt(m.group(1));
            assertTrue(fits > 1 && fits < 4000, text);
            try (Trainer t = trainer(backend, fits)) {
                assertTrue(Double.isFinite(t.pass(new Same(fits, 1), QUIET)));
            }
            String more = assertThrows(MemoryException.class, () -> trainer(backend, fits + 1).close()).getMessage();
            assertTrue(more.endsWith("the largest batch that fits is " + fits), more);
        }
        tell(LIMIT - 1);
        try (Backend backend = device()) {
            String text = assertThrows(RuntimeException.class, () -> trainer(backend, 1).close()).getMessage();
            assertTrue(text.contains("not even one sample fits") || text.contains("GB are free"), text);
            assertFalse(backend.loss().isPresent());
        }
    }
}
