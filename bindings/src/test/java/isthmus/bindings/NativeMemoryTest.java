package isthmus.bindings;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class NativeMemoryTest {
    @Test
    void alignedAndZeroed() {
        for (long bytes : new long[]{0, 1, 4095, 4097, (2L << 20) - 1, 2L << 20, (5L << 20) + 3}) {
            try (Arena arena = Arena.ofShared()) {
                MemorySegment m = NativeMemory.allocate(bytes, arena);
                assertEquals(bytes, m.byteSize());
                assertEquals(0, m.address() % (bytes >= 2L << 20 ? 2L << 20 : 4096));
                for (long i = 0; i < bytes; i += 1021)
                    assertEquals(0, m.get(ValueLayout.JAVA_BYTE, i));
                m.fill((byte) 1);
            }
        }
    }

    @Test
    void goesWithItsArena() throws IOException {
        MemorySegment m;
        try (Arena arena = Arena.ofShared()) {
            m = NativeMemory.allocate(3L << 20, arena);
            assertTrue(isMapped(m.address()));
        }
        assertFalse(isMapped(m.address()));
        assertThrows(IllegalStateException.class, () -> m.get(ValueLayout.JAVA_BYTE, 0));
    }

    private static boolean isMapped(long address) throws IOException {
        return Files.readAllLines(Path.of("/proc/self/maps")).stream().map(l -> l.split("[- ]"))
                .anyMatch(p -> Long.compareUnsigned(Long.parseUnsignedLong(p[0], 16), address) <= 0
                        && Long.compareUnsigned(address, Long.parseUnsignedLong(p[1], 16)) < 0);
    }

    @Test
    void saysHowMuchWasTooMuch() {
        try (Arena arena = Arena.ofConfined()) {
            var e = assertThrows(OutOfMemoryError.class, () -> NativeMemory.allocate(1L << 60, arena));
            assertEquals("no memory outside the heap for " + (1L << 60) + " bytes", e.getMessage());
        }
    }
}
