package isthmus.bindings;

import java.io.IOException;
import java.io.InputStream;
import java.net.JarURLConnection;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.jar.JarEntry;
import java.util.zip.CRC32;

/**
 * Unpacks native libraries from resources into a per-user folder, once. A folder's name is the SHA-256 of its files'
 * names, sizes and checksums as their archive states them, so another version never meets an old file. Beside the files
 * lies a seal: SHA-256, size and time of each. At each start size and time are compared with the seal; a file that differs
 * is read and its SHA-256 decides, and a wrong one is unpacked anew. Files appear by atomic rename, so any number of
 * processes may start at once. Folders and files belong to the user alone.
 */
final class NativeCache {
    private static final Set<PosixFilePermission> OWNER_ONLY = PosixFilePermissions.fromString("rwx------");
    private static final String SEAL = "seal";

    private final Path root;
    private final ClassLoader resources;

    NativeCache(Path root, ClassLoader resources) {
        this.root = root;
        this.resources = resources;
    }

    /** The user's cache: property isthmus.cache, else ISTHMUS_CACHE, else the XDG cache folder, else ~/.cache. */
    static NativeCache ofUser() {
        return new NativeCache(userRoot(), NativeCache.class.getClassLoader());
    }

    static Path userRoot() {
        return first(System.getProperty("isthmus.cache")).or(() -> first(System.getenv("ISTHMUS_CACHE")))
                .or(() -> first(System.getenv("XDG_CACHE_HOME")).map(p -> p.resolve("isthmus")))
                .orElseGet(() -> Path.of(System.getProperty("user.home"), ".cache", "isthmus")).toAbsolutePath();
    }

    private static Optional<Path> first(String path) {
        return Optional.ofNullable(path).filter(p -> !p.isBlank()).map(Path::of);
    }

    /** The folder in which all the files of the resource folder lie, whole. */
    Path unpack(String resourceFolder, List<String> files) throws IOException {
        List<Item> items = new ArrayList<>();
        var key = new StringBuilder();
        for (String file : files) {
            Item item = item(resourceFolder + file, file);
            items.add(item);
            key.append(file).append(' ').append(item.size).append(' ').append(item.crc).append('\n');
        }
        Path folder = root.resolve("native")
                .resolve(hex(sha256().digest(key.toString().getBytes(StandardCharsets.UTF_8))));
        createPrivate(folder);
        for (Item item : items)
            settle(folder, item);
        return folder;
    }

    private Item item(String resource, String file) throws IOException {
        URL url = resources.getResource(resource);
        if (url == null) throw new IOException("the resource " + resource + " is not on the class path");
        var connection = url.openConnection();
        if (connection instanceof JarURLConnection jar) {
            JarEntry entry = jar.getJarEntry();
            return new Item(file, url, entry.getSize(), entry.getCrc());
        }
        var crc = new CRC32();
        byte[] all;
        try (InputStream in = connection.getInputStream()) {
            all = in.readAllBytes();
        }
        crc.update(all);
        return new Item(file, url, all.length, crc.getValue());
    }

    private record Item(String file, URL url, long size, long crc) {}

    private void settle(Path folder, Item item) throws IOException {
        Path file = folder.resolve(item.file);
        Path seal = folder.resolve(item.file + "." + SEAL);
        if (Files.exists(file) && Files.exists(seal)) {
            String[] sealed = Files.readString(seal).strip().split(" ");
            if (sealed.length == 3 && isWhole(file, item, sealed)) return;
        }
        unpack(file, seal, item);
    }

    private static boolean isWhole(Path file, Item item, String[] sealed) throws IOException {
        if (Files.size(file) != item.size || !sealed[1].equals(Long.toString(item.size))) return false;
        return sealed[2].equals(time(file)) || sealed[0].equals(digest(file));
    }

    private static void unpack(Path file, Path seal, Item item) throws IOException {
        Path temporary = Files.createTempFile(file.getParent(), item.file, ".part");
        try {
            MessageDigest digest = sha256();
            var crc = new CRC32();
            try (InputStream in = new java.util.zip.CheckedInputStream(item.url.openStream(), crc);
                    var out = new DigestOutputStream(Files.newOutputStream(temporary), digest)) {
                in.transferTo(out);
            }
            if (Files.size(temporary) != item.size || crc.getValue() != item.crc)
                throw new IOException(item.url + " is damaged: its checksum is not the one that its archive states");
            Files.setPosixFilePermissions(temporary, OWNER_ONLY);
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            Path line = Files.createTempFile(file.getParent(), SEAL, ".part");
            Files.writeString(line, hex(digest.digest()) + " " + item.size + " " + time(file) + "\n");
            Files.move(line, seal, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } finally {
            Files.deleteIfExists(temporary);
        }
    }

    /** Makes the folder, and refuses one that others could have put files into. */
    private void createPrivate(Path folder) throws IOException {
        createPrivate(root, root.resolve("native"));
        createPrivate(root, folder);
    }

    /** Makes one folder below the cache's, with the same refusal. */
    static void createPrivate(Path root, Path folder) throws IOException {
        Files.createDirectories(root);
        try {
            Files.createDirectory(folder, PosixFilePermissions.asFileAttribute(OWNER_ONLY));
        } catch (FileAlreadyExistsException e) {
            refuseIfShared(folder, e);
        }
    }

    private static void refuseIfShared(Path folder, FileAlreadyExistsException e) throws IOException {
        var mode = Files.getPosixFilePermissions(folder, LinkOption.NOFOLLOW_LINKS);
        boolean own = Files.getAttribute(folder, "unix:uid", LinkOption.NOFOLLOW_LINKS)
                .equals(Files.getAttribute(Path.of("/proc/self"), "unix:uid"));
        if (Files.isDirectory(folder, LinkOption.NOFOLLOW_LINKS) && own
                && !mode.contains(PosixFilePermission.GROUP_WRITE) && !mode.contains(PosixFilePermission.OTHERS_WRITE))
            return;
        throw new IOException("the cache folder " + folder + " is no folder of yours alone; remove it, or name another"
                + " with ISTHMUS_CACHE", e);
    }

    private static String time(Path file) throws IOException {
        return Long.toString(Files.getLastModifiedTime(file).toMillis());
    }

    static String digest(Path file) throws IOException {
        MessageDigest digest = sha256();
        try (var out = new DigestOutputStream(java.io.OutputStream.nullOutputStream(), digest)) {
            Files.copy(file, out);
        }
        return hex(digest.digest());
    }

    private static String hex(byte[] bytes) { return HexFormat.of().formatHex(bytes); }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }
}
