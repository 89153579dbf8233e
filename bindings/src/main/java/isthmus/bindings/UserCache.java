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
        Path file = root.resolve(kind).resolve(name + "-" + digest(key));
        try {
            if (Files.isReadable(file)) return Files.readAllBytes(file);
        } catch (IOException e) {
            return make.get();
        }
        byte[] made = make.get();
        try {
            NativeCache.createPrivate(root, file.getParent());
            Path part = Files.createTempFile(file.getParent(), name, ".part");
            Files.write(part, made);
            Files.move(part, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException | UncheckedIOException e) {
            return made;
        }
        return made;
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
