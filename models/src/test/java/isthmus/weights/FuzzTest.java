package isthmus.weights;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Damaged files by the thousand. Every outcome but a clear refusal or a valid read is a failure: another exception, an error, a
 * crash of the process, memory beyond all measure.
 */
class FuzzTest {
    private static final long MOST_MEMORY = 8 << 20;
    /** More rounds with -Dfuzz=10. */
    private static final int MORE = Integer.getInteger("fuzz", 1);
    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    @TempDir
    Path folder;

    /** What a hostile or broken program may do to a file's bytes. */
    private static byte[] damaged(byte[] whole, int from, int to, SplittableRandom random) {
        byte[] b = whole.clone();
        int at = from + random.nextInt(to - from);
        switch (random.nextInt(6)) {
            case 0 -> b[at] ^= (byte) (1 << random.nextInt(8));
            case 1 -> b[at] = (byte) random.nextInt(256);
            case 2 ->
                Arrays.fill(b, at, Math.min(to, at + 1 + random.nextInt(8)), (byte) (random.nextBoolean() ? 0xFF : 0));
            case 3 -> {
                int source = from + random.nextInt(to - from);
                System.arraycopy(whole, source, b, at, Math.min(1 + random.nextInt(40), to - Math.max(at, source)));
            }
            case 4 -> b = Arrays.copyOf(b, at);
            default -> {
                for (int i = 0; i < 8; i++)
                    b[from + random.nextInt(to - from)] = (byte) random.nextInt(256);
            }
        }
        return b;
    }

    private interface Reading {
        Checkpoint read(Arena arena) throws IOException;
    }

    /** 1 if it was read, 0 if it was refused. */
    private static int outcome(Reading reading) throws IOException {
        long before = THREADS.getCurrentThreadAllocatedBytes();
        int read = 0;
        try (Arena arena = Arena.ofConfined()) {
            for (StoredTensor t : reading.read(arena).tensors())
                if (t.isFloat() && t.shape().elements() < 1 << 20) Fixtures.values(t, arena);
            read = 1;
        } catch (CheckpointException e) {
            assertTrue(e.getMessage().length() > 20 && e.getMessage().length() < 4000, e.getMessage());
        }
        long taken = THREADS.getCurrentThreadAllocatedBytes() - before;
        assertTrue(taken < MOST_MEMORY, taken + " bytes of heap");
        return read;
    }

    @ParameterizedTest
    @CsvSource({"zip2.pth,1", "zip5.pth,2", "without_checksums.pth,3", "legacy.pth,4", "before_0_4.pth,5",
            "tensors.safetensors,6", "training.pth,7", "big_endian.pth,8"})
    void filesByAnyDamage(String name, long seed) throws IOException {
        byte[] whole = Fixtures.bytes(name);
        SplittableRandom random = new SplittableRandom(seed);
        Path file = folder.resolve(name);
        int read = 0;
        for (int i = 0; i < 500 * MORE; i++) {
            Files.write(file, damaged(whole, 0, whole.length, random));
            read += outcome(arena -> Checkpoint.open(file, arena));
        }
        assertTrue(read < 500 * MORE, "all were read: nothing was damaged");
    }

    /** Without a zip's checksums in the way. */
    @ParameterizedTest
    @CsvSource({"zip2.pth,11", "zip4.pth,12", "training.pth,13", "asks_system.pth,14"})
    void picklesByAnyDamage(String name, long seed) throws IOException {
        byte[] pickle = pickle(name);
        SplittableRandom random = new SplittableRandom(seed);
        int read = 0;
        for (int i = 0; i < 4000 * MORE; i++) {
            byte[] b = damaged(pickle, 0, pickle.length, random);
            read += outcome(arena -> unpickled(b, arena));
        }
        assertTrue(read < 4000 * MORE);
        assertTrue(read > (name.startsWith("asks") ? -1 : 100), "only " + read + " were read: little was tried");
    }

    /** Instructions in any order. */
    @Test
    void picklesOfNoSense() throws IOException {
        byte[] known = "(NJKMGXUTqrhj])}taesucRbQi.0".getBytes(java.nio.charset.StandardCharsets.ISO_8859_1);
        byte[] more = {(byte) 0x80, (byte) 0x85, (byte) 0x86, (byte) 0x87, (byte) 0x88, (byte) 0x89, (byte) 0x8a,
                (byte) 0x8c,
                (byte) 0x8d, (byte) 0x93, (byte) 0x94, (byte) 0x95, 0, 1, 2, 10};
        SplittableRandom random = new SplittableRandom(21);
        for (int i = 0; i < 10_000 * MORE; i++) {
            byte[] b = new byte[random.nextInt(200)];
            for (int k = 0; k < b.length; k++)
                b[k] = random.nextInt(3) > 0 ? known[random.nextInt(known.length)] : more[random.nextInt(more.length)];
            outcome(arena -> unpickled(b, arena));
        }
    }

    /** Every storage has room for all that a valid pickle may ask of it. */
    private static Checkpoint unpickled(byte[] pickle, Arena arena) {
        Py root = new Unpickler("x.pth", new PickleBytes("x.pth", MemorySegment.ofArray(pickle))).load();
        StateDict.Found found = StateDict.find("x.pth", root);
        return Checkpoint.of("x.pth", "test", found, java.nio.ByteOrder.LITTLE_ENDIAN, s -> {
            if (s.elements() > 4096) throw new CheckpointException("x.pth: storage of " + s.elements() + " elements");
            return arena.allocate(s.elements() * s.type().bytes(), 8);
        });
    }

    private byte[] pickle(String name) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            ZipEntries zip = ZipEntries.read(MappedFile.open(Fixtures.copy(name, folder), arena));
            return zip.bytes(name.replace(".pth", "/data.pkl")).toArray(ValueLayout.JAVA_BYTE);
        }
    }

    @Test
    void onnxFilesByAnyDamage() throws IOException {
        byte[] whole = OnnxInitialisersTest.model().toByteArray();
        SplittableRandom random = new SplittableRandom(31);
        Path file = folder.resolve("m.onnx");
        int read = 0;
        for (int i = 0; i < 2000 * MORE; i++) {
            Files.write(file, damaged(whole, 0, whole.length, random));
            read += outcome(arena -> Checkpoint.open(file, arena));
        }
        assertTrue(read > 100 && read < 2000 * MORE, read + " were read");
    }
}
