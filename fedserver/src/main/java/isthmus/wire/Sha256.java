package isthmus.wire;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/** SHA-256 of segments and files, as 64 lower-case hexadecimal digits. */
public final class Sha256 {
    private static final long STEP = 1 << 20;

    private Sha256() {}

    /** Digest of all bytes of a segment; nothing is copied as a whole. */
    public static String of(MemorySegment data) {
        return HexFormat.of().formatHex(raw(data));
    }

    /** The 32 raw bytes of the digest. */
    public static byte[] raw(MemorySegment data) {
        MessageDigest digest = start();
        for (long at = 0; at < data.byteSize(); at += STEP)
            digest.update(data.asSlice(at, Math.min(STEP, data.byteSize() - at)).asByteBuffer());
        return digest.digest();
    }

    /** Digest of a file. */
    public static String of(Path file) throws IOException {
        MessageDigest digest = start();
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            ByteBuffer buffer = ByteBuffer.allocate(1 << 16);
            while (channel.read(buffer.clear()) >= 0)
                digest.update(buffer.flip());
        }
        return HexFormat.of().formatHex(digest.digest());
    }

    /** Digest of bytes. */
    public static String of(byte[] data) { return of(MemorySegment.ofArray(data)); }

    /** Whether this text has the form of a digest. */
    public static boolean isDigest(String text) {
        if (text == null || text.length() != 64)
            return false;
        for (int i = 0; i < 64; i++)
            if (Character.digit(text.charAt(i), 16) < 0 || Character.isUpperCase(text.charAt(i))
                    || text.charAt(i) > 'f')
                return false;
        return true;
    }

    private static MessageDigest start() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("this Java has no SHA-256, which every Java must have", e);
        }
    }
}
