package isthmus.weights;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.zip.CRC32;

/** Writes stored zip files, plain or with every size and place in zip64 fields, as files over 4 GiB have them. */
final class Zips {
    private static final int ONES = 0xFFFFFFFF;

    private Zips() {}

    static byte[] of(Map<String, byte[]> entries, boolean wide) {
        var out = new ByteArrayOutputStream();
        var directory = new ByteArrayOutputStream();
        entries.forEach((name, data) -> {
            long at = out.size();
            byte[] text = name.getBytes(StandardCharsets.UTF_8);
            var sum = new CRC32();
            sum.update(data);
            out.writeBytes(little(30).putInt(0x04034b50).putShort((short) 45).putShort((short) 0).putShort((short) 0)
                    .putInt(0).putInt((int) sum.getValue()).putInt(data.length).putInt(data.length)
                    .putShort((short) text.length).putShort((short) 0).array());
            out.writeBytes(text);
            out.writeBytes(data);
            directory.writeBytes(little(46).putInt(0x02014b50).putShort((short) 45).putShort((short) 45)
                    .putShort((short) 0).putShort((short) 0).putInt(0).putInt((int) sum.getValue())
                    .putInt(wide ? ONES : data.length).putInt(wide ? ONES : data.length).putShort((short) text.length)
                    .putShort((short) (wide ? 33 : 0)).putShort((short) 0).putInt(0).putInt(0)
                    .putInt(wide ? ONES : (int) at).array());
            directory.writeBytes(text);
            // A field of another kind stands before the one that matters.
            if (wide)
                directory.writeBytes(little(33).putShort((short) 0x5455).putShort((short) 1).put((byte) 0)
                        .putShort((short) 1).putShort((short) 24).putLong(data.length).putLong(data.length).putLong(at)
                        .array());
        });
        long start = out.size();
        out.writeBytes(directory.toByteArray());
        if (wide) end64(out, start, directory.size(), entries.size());
        out.writeBytes(little(22).putInt(0x06054b50).putInt(0).putShort((short) (wide ? ONES : entries.size()))
                .putShort((short) (wide ? ONES : entries.size())).putInt(wide ? ONES : directory.size())
                .putInt(wide ? ONES : (int) start).putShort((short) 0).array());
        return out.toByteArray();
    }

    private static void end64(ByteArrayOutputStream out, long start, long bytes, long count) {
        long end = out.size();
        out.writeBytes(little(56).putInt(0x06064b50).putLong(44).putShort((short) 45).putShort((short) 45).putInt(0)
                .putInt(0).putLong(count).putLong(count).putLong(bytes).putLong(start).array());
        out.writeBytes(little(20).putInt(0x07064b50).putInt(0).putLong(end).putInt(1).array());
    }

    private static ByteBuffer little(int size) { return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN); }
}
