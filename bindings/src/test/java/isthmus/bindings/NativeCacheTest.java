package isthmus.bindings;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.jar.JarOutputStream;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Two files in a jar and their way into the cache. */
class NativeCacheTest {
    private static final List<String> FILES = List.of("liba.so", "libb.so");

    @TempDir
    Path folder;
    private byte[] content;

    @BeforeEach
    void fill() {
        content = new byte[300_000];
        new Random(3).nextBytes(content);
    }

    private NativeCache cache(String jar) throws IOException {
        Path file = folder.resolve(jar);
        try (var out = new JarOutputStream(Files.newOutputStream(file))) {
            for (String name : FILES) {
                out.putNextEntry(new ZipEntry("lib/" + name));
                out.write(content);
            }
        }
        var loader = new URLClassLoader(new URL[]{file.toUri().toURL()}, null);
        return new NativeCache(folder.resolve("cache"), loader);
    }

    @Test
    void unpacksOnce() throws IOException {
        NativeCache cache = cache("one.jar");
        Path at = cache.unpack("lib/", FILES);
        Path file = at.resolve("liba.so");
        assertArrayEquals(content, Files.readAllBytes(file));
        assertEquals("rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(file)));
        assertEquals("rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(at)));
        Object inode = Files.getAttribute(file, "unix:ino");
        assertEquals(at, cache.unpack("lib/", FILES));
        assertEquals(inode, Files.getAttribute(file, "unix:ino"), "unpacked again");
        try (Stream<Path> files = Files.list(at)) {
            assertEquals(4, files.count(), "two files, two seals, nothing half done");
        }
    }

    @Test
    void anotherContentIsAnotherFolder() throws IOException {
        Path first = cache("one.jar").unpack("lib/", FILES);
        content[7]++;
        Path second = cache("two.jar").unpack("lib/", FILES);
        assertNotEquals(first, second);
        assertArrayEquals(content, Files.readAllBytes(second.resolve("libb.so")));
    }

    @Test
    void repairsADamagedFile() throws IOException {
        NativeCache cache = cache("one.jar");
        Path file = cache.unpack("lib/", FILES).resolve("liba.so");
        Files.write(file, new byte[100]);
        cache.unpack("lib/", FILES);
        assertArrayEquals(content, Files.readAllBytes(file), "cut short");
        byte[] other = content.clone();
        other[1000]++;
        Files.write(file, other);
        Files.setLastModifiedTime(file, FileTime.fromMillis(5));
        cache.unpack("lib/", FILES);
        assertArrayEquals(content, Files.readAllBytes(file), "one byte differs");
        Files.delete(file);
        cache.unpack("lib/", FILES);
        assertArrayEquals(content, Files.readAllBytes(file), "gone");
        Files.writeString(file.resolveSibling("liba.so.seal"), "rubbish");
        cache.unpack("lib/", FILES);
        assertArrayEquals(content, Files.readAllBytes(file), "no seal");
    }

    @Test
    void aTouchedButWholeFileStays() throws IOException {
        NativeCache cache = cache("one.jar");
        Path file = cache.unpack("lib/", FILES).resolve("liba.so");
        Files.setLastModifiedTime(file, FileTime.fromMillis(5));
        Object inode = Files.getAttribute(file, "unix:ino");
        cache.unpack("lib/", FILES);
        assertEquals(inode, Files.getAttribute(file, "unix:ino"));
    }

    @Test
    void manyAtOnce() throws Exception {
        NativeCache cache = cache("one.jar");
        var tasks = new ArrayList<Callable<byte[]>>();
        for (int i = 0; i < 16; i++)
            tasks.add(() -> Files.readAllBytes(cache.unpack("lib/", FILES).resolve("libb.so")));
        try (var pool = Executors.newFixedThreadPool(16)) {
            for (var result : pool.invokeAll(tasks))
                assertArrayEquals(content, result.get());
        }
        Path at = cache.unpack("lib/", FILES);
        try (Stream<Path> files = Files.list(at)) {
            assertEquals(4, files.count(), "nothing half done is left");
        }
    }

    @Test
    void refusesAFolderOfOthers() throws IOException {
        NativeCache cache = cache("one.jar");
        Path at = cache.unpack("lib/", FILES);
        Files.setPosixFilePermissions(at, PosixFilePermissions.fromString("rwxrwxrwx"));
        var e = assertThrows(IOException.class, () -> cache.unpack("lib/", FILES));
        assertTrue(e.getMessage().contains(at + " is no folder of yours alone"), e.getMessage());
    }

    @Test
    void saysWhatIsMissing() throws IOException {
        NativeCache cache = cache("one.jar");
        var e = assertThrows(IOException.class, () -> cache.unpack("lib/", List.of("libc.so")));
        assertEquals("the resource lib/libc.so is not on the class path", e.getMessage());
    }
}
