package isthmus.weights;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;

/** The small files that PyTorch wrote (make_fixtures.py beside them says how), and what tests do with them. */
final class Fixtures {
    private Fixtures() {}

    static byte[] bytes(String name) {
        try (InputStream in = Fixtures.class.getResourceAsStream(name)) {
            if (in == null) throw new IllegalArgumentException("no fixture " + name);
            return in.readAllBytes();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static Path copy(String name, Path folder) throws IOException {
        return Files.write(folder.resolve(name), bytes(name));
    }

    /** The values as import would take them. */
    static float[] values(StoredTensor t, Arena arena) {
        MemorySegment out = arena.allocate(Math.max(4, t.shape().elements() * Float.BYTES), 4);
        t.copyTo(out.asSlice(0, t.shape().elements() * Float.BYTES));
        return out.asSlice(0, t.shape().elements() * Float.BYTES).toArray(ValueLayout.JAVA_FLOAT);
    }

    /** Expects a refusal that names the file and says these words. */
    static String refused(Path file, String... words) {
        String message = assertThrows(CheckpointException.class, () -> {
            try (Arena arena = Arena.ofConfined()) {
                Checkpoint.open(file, arena);
            }
        }, file.toString()).getMessage();
        assertTrue(message.startsWith(file + ": "), message);
        for (String word : words)
            assertTrue(message.contains(word), message);
        return message;
    }
}
