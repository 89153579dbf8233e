package isthmus.wire;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.EnumSet;
import java.util.Set;

/** Files and folders that only their owner can open: 0600 and 0700 from the moment they exist, never an instant later. */
public final class OwnerOnly {
    private static final boolean POSIX = FileSystems.getDefault().supportedFileAttributeViews().contains("posix");

    private OwnerOnly() {}

    /** Makes a folder, and its missing parents, with permissions 0700; an existing one stays as it is. */
    public static void folder(Path folder) throws IOException {
        Files.createDirectories(folder, permissions("rwx------"));
    }

    /**
     * Writes a new file with permissions 0600 and syncs it to disk.
     *
     * @throws java.nio.file.FileAlreadyExistsException if there is one: nothing is ever overwritten here
     */
    public static void create(Path file, byte[] content) throws IOException {
        try (FileChannel out = FileChannel.open(file,
                Set.of(StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW), permissions("rw-------"))) {
            ByteBuffer buffer = ByteBuffer.wrap(content);
            while (buffer.hasRemaining())
                out.write(buffer);
            out.force(true);
        }
    }

    /** Replaces a file's content in one step: a reader, or a crash, sees the old or the new one whole. Mode 0600. */
    public static void replace(Path file, byte[] content) throws IOException {
        Path fresh = file.resolveSibling(file.getFileName() + ".new");
        Files.deleteIfExists(fresh);
        create(fresh, content);
        AtomicFiles.move(fresh, file);
    }

    /** Throws, with the cure, if others than the owner may read this file. */
    public static void check(Path file) throws IOException {
        if (!POSIX)
            return;
        Set<PosixFilePermission> permissions = Files.getPosixFilePermissions(file, LinkOption.NOFOLLOW_LINKS);
        Set<PosixFilePermission> open = EnumSet.copyOf(permissions);
        open.removeAll(EnumSet.of(PosixFilePermission.OWNER_READ, PosixFilePermission.OWNER_WRITE,
                PosixFilePermission.OWNER_EXECUTE));
        if (!open.isEmpty())
            throw new IOException(file + ": this private key can be opened by others ("
                    + PosixFilePermissions.toString(permissions) + "); run: chmod 600 " + file);
    }

    private static FileAttribute<?>[] permissions(String text) {
        return POSIX
                ? new FileAttribute<?>[]{PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString(text))}
                : new FileAttribute<?>[0];
    }
}
