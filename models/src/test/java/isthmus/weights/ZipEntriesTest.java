package isthmus.weights;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Entries are found by the directory, wide fields included, and a directory that lies is refused. */
class ZipEntriesTest {
    private static final byte[] DATA = {1, 2, 3, 4, 5};

    @TempDir
    Path folder;

    private static Map<String, byte[]> entries() {
        Map<String, byte[]> all = new LinkedHashMap<>();
        all.put("a/data.pkl", DATA);
        all.put("a/empty", new byte[0]);
        all.put("a/data/0", new byte[100]);
        return all;
    }

    private MappedFile file(byte[] bytes, Arena arena) throws IOException {
        return MappedFile.open(Files.write(folder.resolve("a.zip"), bytes), arena);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void entriesAreViews(boolean wide) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            ZipEntries zip = ZipEntries.read(file(Zips.of(entries(), wide), arena));
            List<String> names = new ArrayList<>();
            zip.names().forEach(names::add);
            assertEquals(new ArrayList<>(entries().keySet()), names);
            assertArrayEquals(DATA, zip.bytes("a/data.pkl").toArray(ValueLayout.JAVA_BYTE));
            assertTrue(zip.bytes("a/data.pkl").isMapped());
            assertEquals(0, zip.bytes("a/empty").byteSize());
            assertEquals(100, zip.bytes("a/data/0").byteSize());
        }
    }

    @Test
    void aCommentAtTheEndIsNoHindrance() throws IOException {
        byte[] zip = Zips.of(entries(), false);
        byte[] longer = java.util.Arrays.copyOf(zip, zip.length + 7);
        ByteBuffer.wrap(longer).order(ByteOrder.LITTLE_ENDIAN).putShort(zip.length - 2, (short) 7);
        try (Arena arena = Arena.ofConfined()) {
            assertEquals(5, ZipEntries.read(file(longer, arena)).bytes("a/data.pkl").byteSize());
        }
    }

    @Test
    void directoriesThatLieAreRefused() throws IOException {
        byte[] narrow = Zips.of(entries(), false);
        byte[] wide = Zips.of(entries(), true);
        refused(narrow, narrow.length - 6, -2, "outside of the file"); // place of the directory
        refused(narrow, narrow.length - 12, 4, "cut or overwritten"); // number of entries
        refused(wide, wide.length - 22 - 20 - 56 + 32, -1, "-1 entries"); // number of entries, wide
        refused(wide, wide.length - 22 - 20 - 56 + 48, Integer.MAX_VALUE, "outside of the file");
        refused(wide, wide.length - 22 - 20 + 8, 3, "zip64 end");
    }

    private void refused(byte[] zip, int at, int value, String words) throws IOException {
        byte[] changed = zip.clone();
        ByteBuffer b = ByteBuffer.wrap(changed).order(ByteOrder.LITTLE_ENDIAN);
        if (value == 4) b.putShort(at, (short) value);
        else if (value == -1) b.putLong(at, value);
        else
            b.putInt(at, value);
        try (Arena arena = Arena.ofConfined()) {
            MappedFile file = file(changed, arena);
            String message = assertThrows(CheckpointException.class, () -> ZipEntries.read(file)).getMessage();
            assertTrue(message.contains(words), message);
        }
    }

    @Test
    void entriesOutsideOfTheFileAndTwiceGivenOnesAreRefused() throws IOException {
        byte[] zip = Zips.of(entries(), false);
        int central = zip.length - 22 - 3 * 46 - "a/data.pkla/emptya/data/0".length();
        byte[] longer = zip.clone();
        ByteBuffer.wrap(longer).order(ByteOrder.LITTLE_ENDIAN).putInt(central + 20, 1 << 30).putInt(central + 24,
                1 << 30);
        byte[] twice = new String(zip, java.nio.charset.StandardCharsets.ISO_8859_1).replace("a/empty", "a/data/")
                .replace("a/data/0", "a/data/").getBytes(java.nio.charset.StandardCharsets.ISO_8859_1);
        try (Arena arena = Arena.ofConfined()) {
            ZipEntries cut = ZipEntries.read(file(longer, arena));
            String message = assertThrows(CheckpointException.class, () -> cut.bytes("a/data.pkl")).getMessage();
            assertTrue(message.contains("ends outside of the file"), message);
            MappedFile same = file(twice, arena);
            assertThrows(CheckpointException.class, () -> ZipEntries.read(same));
        }
    }
}
