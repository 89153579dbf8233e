package isthmus.task;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.backend.Backends;
import isthmus.bindings.cuda.CudaLibraries;
import isthmus.tensor.Safetensors;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.DoubleSupplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A GPU that is lost in the midst of a run: what it had is safe, and the run goes on on the CPU if wanted. */
class FallbackTest {
    private static final int LOSE = -1000;

    @TempDir
    Path folder;

    private Path films;

    @BeforeEach
    void write() throws IOException {
        Backends.all().stream().filter(p -> p.name().equals("cuda-emulated")).findFirst().orElseThrow().problem()
                .ifPresent(p -> Assumptions.abort("the emulation is not built: " + p));
        films = SmallRecipe.films(folder.resolve("films"), 14);
    }

    @AfterEach
    void heal() { tell(LOSE); }

    /** The emulation's own attribute: so many launches from now the GPU is lost. */
    private static void tell(int attribute) {
        CudaLibraries.emulated().driver().deviceAttribute(attribute, 0);
    }

    /** Loses the GPU in the second batch of an epoch. */
    private static final class Loses extends SmallRecipe.Ear {
        private final int epoch;

        Loses(int epoch) { this.epoch = epoch; }

        @Override
        public void step(int batch, int batches, long samples, DoubleSupplier loss) {
            super.step(batch, batches, samples, loss);
            if (steps == (epoch - 1) * batches + 1) tell(LOSE - 1);
        }
    }

    private PooledTraining.Result run(SmallRecipe.Ear ear, Compute compute, String out) throws IOException {
        return PooledTraining.run(SmallRecipe.of(""), List.of(films), List.of(films), Optional.empty(),
                folder.resolve(out), compute, ear);
    }

    private float[] weights(Path file) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            return Safetensors.map(file, arena).weights().segment().toArray(ValueLayout.JAVA_FLOAT);
        }
    }

    @Test
    void theRunGoesOnOnTheCpu() throws IOException {
        for (int epoch = 1; epoch <= 3; epoch++) {
            var ear = new Loses(epoch);
            var compute = new Compute("cuda-emulated", 1, Optional.of("cpu"));
            PooledTraining.Result r = run(ear, compute, "lost" + epoch);
            assertEquals("cpu", r.compute().device());
            assertEquals(3, r.epochs().size());
            assertEquals("epochs", r.ended());
            String line = ear.lines.stream().filter(l -> l.contains("is lost to this process")).findFirst()
                    .orElseThrow();
            assertTrue(line.contains("LAUNCH_FAILED") && line.endsWith("going on with cpu after epoch " + (epoch - 1)),
                    line);
            assertFalse(Files.exists(folder.resolve("lost" + epoch).resolve("resume")), "tidied up");
            PooledTraining.Result whole = run(new SmallRecipe.Ear(), Compute.cpu(1), "whole" + epoch);
            float[] got = weights(r.lastModel());
            float[] expected = weights(whole.lastModel());
            for (int i = 0; i < got.length; i++)
                assertEquals(expected[i], got[i], 2e-4, "float32 on either device");
        }
    }

    @Test
    void withoutAFallbackItSaysWhatIsSafe() throws IOException {
        String text = assertThrows(DeviceLostException.class,
                () -> run(new Loses(2), new Compute("cuda-emulated", 1), "lost")).getMessage();
        Path best = folder.resolve("lost").resolve("best.safetensors");
        assertTrue(text.startsWith("cu") && text.contains("CUDA_ERROR_LAUNCH_FAILED"), text);
        assertTrue(text.endsWith(best + " holds the best of 1 complete epochs"), text);
        assertTrue(weights(best).length > 0);
    }
}
