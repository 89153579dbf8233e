package isthmus.bindings.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.bindings.NativeException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class KernelsTest {
    @Test
    void loads() {
        assertTrue(Kernels.problem().isEmpty(), () -> Kernels.problem().orElseThrow());
        List<String> known = List.of("plain", "avx2", "avx512");
        int highest = known.indexOf(Optional.ofNullable(System.getenv("ISTHMUS_ISA")).orElse("avx512"));
        assertTrue(known.indexOf(Kernels.isa()) >= 0 && known.indexOf(Kernels.isa()) <= highest, Kernels.isa());
        System.out.println("kernels tested with " + Kernels.isa());
    }

    @Test
    void rectifies() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = arena.allocateFrom(ValueLayout.JAVA_FLOAT, -1, 2, Float.NaN, 0);
            Kernels.relu(Kernels.F32, x, x, 4);
            assertArrayEquals(new float[]{0, 2, Float.NaN, 0}, x.toArray(ValueLayout.JAVA_FLOAT));
        }
    }

    @Test
    void saysWhatWasRefused() {
        var e = assertThrows(NativeException.class, () -> Kernels.relu(7, MemorySegment.NULL, MemorySegment.NULL, 1));
        assertEquals("ist_relu: ist_relu_" + Kernels.isa() + ": no element type 7 (status 1)", e.getMessage());
    }
}
