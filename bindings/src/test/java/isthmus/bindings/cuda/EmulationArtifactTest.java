package isthmus.bindings.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.bindings.NativeLibrary;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** The emulation is on the class path of tests, so that they find it without being told its file. */
class EmulationArtifactTest {
    @Test
    void theTestJarHasTheLibraryThatWasBuilt() throws Exception {
        Path built = Path.of(System.getProperty(CudaLibraries.EMULATION, ""));
        Assumptions.assumeTrue(Files.isRegularFile(built), "the emulation is not built");
        NativeLibrary packed = NativeLibrary
                .resource("CUDA emulation", "isthmus/native/emulation/", "libisthmus_cuda_emulation.so").orElseThrow();
        assertEquals(Optional.empty(), packed.problem());
        assertTrue(packed.find("cuInit").isPresent());
        assertEquals(-1, Files.mismatch(built, Path.of(packed.origin().orElseThrow())));
    }

    @Test
    void whatIsNotOnTheClassPathIsNotThere() {
        assertEquals(Optional.empty(), NativeLibrary.resource("none", "isthmus/native/emulation/", "none.so"));
    }
}
