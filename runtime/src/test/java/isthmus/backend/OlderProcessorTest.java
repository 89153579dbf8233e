package isthmus.backend;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import isthmus.bindings.kernels.Kernels;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Runs where the build pretends an older processor: that it does so, and that {@code amp} says what it means there. */
class OlderProcessorTest {
    @Test
    void ampIsFloat32AndSaysSoInOneLine() {
        String expected = System.getProperty("expected.isa", "");
        assumeTrue(!expected.isBlank(), "this processor as it is");
        assertEquals(expected, Kernels.isa(), "the C kernels' instruction set");
        try (Backend backend = Backends.cpu(1)) {
            assertEquals(Precision.FP32, Precision.parse("amp", backend));
            List<String> notes = Precision.notes("amp", backend);
            assertEquals(1, notes.size());
            assertTrue(notes.getFirst().startsWith("amp computes in fp32 here") && !notes.getFirst().contains("\n"),
                    notes.getFirst());
            assertEquals(List.of(), Precision.notes("bf16", backend), "asked for is asked for");
            assertEquals(Precision.BF16, Precision.parse("bf16", backend));
        }
    }
}
