package isthmus.bindings;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;

/** Small files of the user's that can be made again: what was compiled or measured for a key. Written by atomic rename. */
public final class UserCache {
    private final Path root;

    private UserCache(Path root) { this.root = root; }

    /** The user's cache folder, as {@link NativeLibrary} uses it. */
    public static UserCache ofUser() {
        return new UserCache(NativeCache.userRoot());
    }

    /** The bytes kept for a key, or those that {@code make} gives, which are kept then. A cache that cannot be used costs time only. */
    public byte[] get(String kind, String name, List<String> key, Supplier<byte[]> make) {
        return find(kind, name, key).orElseGet(() -> {
            byte[] made = make.get();
            keep(kind, name, key, made);
            return made;
        });
    }

    /** The bytes kept for a key; nothing if there are none, or they cannot be read. */
    public Optional<byte[]> find(String kind, String name, List<String> key) {
        Path file = file(kind, name, key);
        try {
            return Files.isReadable(file) ? Optional.of(Files.readAllBytes(file)) : Optional.empty();
        } catch (IOException e) {
            return Optional.empty();
        }
    }

    /** Keeps bytes for a key, in place of others; does nothing where that cannot be done. */
    public void keep(String kind, String name, List<String> key, byte[] made) {
        Path file = file(kind, name, key);
        try {
            NativeCache.createPrivate(root, file.getParent());
            Path part = Files.createTempFile(file.getParent(), name, ".part");
            Files.write(part, made);
            Files.move(part, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException | UncheckedIOException e) {
            // What cannot be kept is made again the next time.
        }
    }

    private Path file(String kind, String name, List<String> key) {
        return root.resolve(kind).resolve(name + "-" + digest(key));
    }

    private static String digest(List<String> key) {
        try {
            byte[] bytes = String.join("\0", key).getBytes(StandardCharsets.UTF_8);
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes)).substring(0, 32);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }
}
