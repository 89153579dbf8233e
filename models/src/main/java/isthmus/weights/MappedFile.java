package isthmus.weights;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * A file in memory, read-only, without reading it: pages come in when touched.
 *
 * @param name what errors call it
 */
record MappedFile(String name, MemorySegment bytes) {
    private static final ValueLayout.OfShort U16 = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfInt U32 = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfLong I64 = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    static MappedFile open(Path file, Arena arena) throws IOException {
        try (FileChannel in = FileChannel.open(file, StandardOpenOption.READ)) {
            return new MappedFile(file.toString(), in.map(FileChannel.MapMode.READ_ONLY, 0, in.size(), arena));
        }
    }

    long size() { return bytes.byteSize(); }

    /** Whether so many bytes lie at that place. */
    boolean has(long offset, long length) {
        return offset >= 0 && length >= 0 && length <= size() && offset <= size() - length;
    }

    int u8(long offset) { return bytes.get(ValueLayout.JAVA_BYTE, offset) & 0xFF; }

    int u16(long offset) { return bytes.get(U16, offset) & 0xFFFF; }

    long u32(long offset) { return bytes.get(U32, offset) & 0xFFFFFFFFL; }

    long i64(long offset) { return bytes.get(I64, offset); }

    /** Text at a place; bytes that are no UTF-8 become replacement characters. */
    String text(long offset, int length) {
        return new String(bytes.asSlice(offset, length).toArray(ValueLayout.JAVA_BYTE), StandardCharsets.UTF_8);
    }

    /** A stretch of it; the caller has checked that it is there. */
    MemorySegment view(long offset, long length) {
        return bytes.asSlice(offset, length);
    }

    /** An error about this file. */
    CheckpointException wrong(String what) {
        return new CheckpointException(name + ": " + what);
    }
}
