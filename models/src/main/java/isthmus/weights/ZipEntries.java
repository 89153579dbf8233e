package isthmus.weights;

import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.zip.CRC32;

/**
 * The entries of a zip file as views of the mapped file. Only stored (uncompressed) entries can be viewed; PyTorch writes no
 * others. Reads the central directory, with zip64. Format: PKWARE's APPNOTE.TXT 6.3.
 */
final class ZipEntries {
    private static final int MAX_ENTRIES = 200_000;
    private static final int LOCAL = 0x04034b50;
    private static final int CENTRAL = 0x02014b50;
    private static final int END = 0x06054b50;
    private static final int END64 = 0x06064b50;
    private static final int LOCATOR64 = 0x07064b50;
    private static final int END_BYTES = 22;
    private static final int CENTRAL_BYTES = 46;
    private static final int LOCAL_BYTES = 30;
    private static final long ALL_ONES = 0xFFFFFFFFL;

    /** What the central directory says of an entry. */
    private record Entry(int method, int flags, long crc, long stored, long size, long header) {}

    private final MappedFile file;
    private final Map<String, Entry> entries = new LinkedHashMap<>();

    private ZipEntries(MappedFile file) { this.file = file; }

    static ZipEntries read(MappedFile file) {
        ZipEntries zip = new ZipEntries(file);
        zip.directory();
        return zip;
    }

    private void directory() {
        long end = end();
        long count = file.u16(end + 10);
        long bytes = file.u32(end + 12);
        long at = file.u32(end + 16);
        long locator = end - 20;
        if ((count == 0xFFFF || bytes == ALL_ONES || at == ALL_ONES) && locator >= 0 && is(LOCATOR64, locator)) {
            long end64 = file.i64(locator + 8);
            if (!file.has(end64, 56) || !is(END64, end64)) throw damaged("its zip64 end is not where it should be");
            count = file.i64(end64 + 32);
            bytes = file.i64(end64 + 40);
            at = file.i64(end64 + 48);
        }
        if (count < 0 || count > MAX_ENTRIES)
            throw damaged("it claims " + count + " entries; at most " + MAX_ENTRIES
                    + " are read");
        if (!file.has(at, bytes)) throw damaged("its directory lies outside of the file");
        long stop = at + bytes;
        for (long i = 0; i < count; i++)
            at = entry(at, stop);
    }

    /** The end record is the last thing but for a comment of at most 64 KiB. */
    private long end() {
        long last = file.size() - END_BYTES;
        for (long at = last; at >= Math.max(0, last - 0xFFFF); at--)
            if (is(END, at) && at + END_BYTES + file.u16(at + 20) == file.size()) return at;
        throw damaged("it has no end record");
    }

    private long entry(long at, long stop) {
        if (stop - at < CENTRAL_BYTES || !is(CENTRAL, at)) throw damaged("its directory is cut or overwritten");
        int name = file.u16(at + 28);
        int extra = file.u16(at + 30);
        long next = at + CENTRAL_BYTES + name + extra + file.u16(at + 32);
        if (next > stop) throw damaged("its directory is cut or overwritten");
        Entry e = wide(new Entry(file.u16(at + 10), file.u16(at + 8), file.u32(at + 16), file.u32(at + 20),
                file.u32(at + 24), file.u32(at + 42)), at + CENTRAL_BYTES + name, extra);
        String text = file.text(at + CENTRAL_BYTES, name);
        if (entries.putIfAbsent(text, e) != null) throw damaged("it has two entries '" + text + "'");
        return next;
    }

    /** Takes from the zip64 field, in this order, what the entry itself has no room for. */
    private Entry wide(Entry e, long extra, int bytes) {
        long at = extra;
        long stop = extra + bytes;
        while (stop - at >= 4) {
            int id = file.u16(at);
            long end = at + 4 + file.u16(at + 2);
            if (end > stop) break;
            if (id == 1) {
                long[] from = {at + 4, end};
                long size = e.size == ALL_ONES ? wide(from) : e.size;
                long stored = e.stored == ALL_ONES ? wide(from) : e.stored;
                long header = e.header == ALL_ONES ? wide(from) : e.header;
                return new Entry(e.method, e.flags, e.crc, stored, size, header);
            }
            at = end;
        }
        return e;
    }

    private long wide(long[] from) {
        if (from[1] - from[0] < 8) throw damaged("a zip64 field is too short");
        from[0] += 8;
        return file.i64(from[0] - 8);
    }

    private boolean is(int signature, long at) { return file.has(at, 4) && (int) file.u32(at) == signature; }

    private CheckpointException damaged(String what) {
        return file.wrong("is a damaged zip file: " + what + "; fetch it again");
    }

    /** Names of all entries in the directory's order. */
    Iterable<String> names() { return entries.keySet(); }

    boolean has(String name) { return entries.containsKey(name); }

    /** The bytes of an entry, once their checksum was verified. */
    MemorySegment bytes(String name) {
        Entry e = entries.get(name);
        if (e == null) throw damaged("it has no entry '" + name + "'");
        if ((e.flags & 1) != 0) throw file.wrong("its entry '" + name + "' is encrypted; decrypt the file first");
        if (e.method != 0 || e.stored != e.size)
            throw file.wrong(
                    "its entry '" + name + "' is compressed, which PyTorch never does; write the file again with "
                            + "torch.save(torch.load(...), ...)");
        if (!file.has(e.header, LOCAL_BYTES) || !is(LOCAL, e.header))
            throw damaged("the entry '" + name + "' is not where the directory says");
        long data = e.header + LOCAL_BYTES + file.u16(e.header + 26) + file.u16(e.header + 28);
        if (!file.has(data, e.size)) throw damaged("the entry '" + name + "' ends outside of the file");
        MemorySegment bytes = file.view(data, e.size);
        verify(name, bytes, e.crc);
        return bytes;
    }

    /** Torch can be told to leave checksums out; then they are 0. */
    private void verify(String name, MemorySegment bytes, long crc) {
        if (crc == 0) return;
        CRC32 sum = new CRC32();
        long step = 1 << 30;
        for (long at = 0; at < bytes.byteSize(); at += step)
            sum.update(bytes.asSlice(at, Math.min(step, bytes.byteSize() - at)).asByteBuffer());
        if (sum.getValue() != crc) throw damaged("the checksum of the entry '" + name + "' does not fit its bytes");
    }
}
