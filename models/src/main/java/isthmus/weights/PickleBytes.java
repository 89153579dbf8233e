package isthmus.weights;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** A pickle's bytes with a place in them; every read is checked against the end. */
final class PickleBytes {
    private static final ValueLayout.OfInt I32 = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfLong I64 = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfDouble F64 = ValueLayout.JAVA_DOUBLE_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);
    private static final int MAX_LINE = 4096;
    private static final long MAX_TEXT = 64 << 20;

    private final String source;
    private final MemorySegment bytes;
    private long at;
    private long text;

    PickleBytes(String source, MemorySegment bytes) {
        this.source = source;
        this.bytes = bytes;
    }

    /** Where the next byte lies. */
    long at() { return at; }

    int u8() { return bytes.get(ValueLayout.JAVA_BYTE, take(1)) & 0xFF; }

    int u16() { return u8() | u8() << 8; }

    int i32() { return bytes.get(I32, take(4)); }

    long i64() { return bytes.get(I64, take(8)); }

    double f64() { return bytes.get(F64, take(8)); }

    /** Text of so many bytes; bytes that are no UTF-8 become replacement characters. */
    String text(long length) {
        return new String(raw(length), StandardCharsets.UTF_8);
    }

    byte[] raw(long length) {
        long from = take(length);
        text += length;
        if (text > MAX_TEXT)
            throw new CheckpointException(
                    source + ": its pickle has more than " + MAX_TEXT + " bytes of text; no checkpoint "
                            + "of a model has");
        return bytes.asSlice(from, length).toArray(ValueLayout.JAVA_BYTE);
    }

    /** Passes over so many bytes. */
    void skip(long length) { take(length); }

    /** Text up to the end of the line, which is passed over. */
    String line() {
        long end = at;
        while (end < bytes.byteSize() && end - at <= MAX_LINE && bytes.get(ValueLayout.JAVA_BYTE, end) != '\n')
            end++;
        if (end == bytes.byteSize() || end - at > MAX_LINE) throw cut(end - at + 1);
        String text = text(end - at);
        at++;
        return text;
    }

    private long take(long n) {
        if (n < 0 || n > bytes.byteSize() - at) throw cut(n);
        at += n;
        return at - n;
    }

    private CheckpointException cut(long n) {
        return new CheckpointException(source + ": its pickle is damaged: at byte " + at + " it asks for " + n
                + " bytes, there are " + (bytes.byteSize() - at) + "; fetch the file again");
    }
}
