package isthmus.tensor;

import java.io.IOException;
import java.io.StringWriter;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.ObjectWriteContext;
import tools.jackson.core.json.JsonFactory;

/**
 * Weight buffers as safetensors files: 8 bytes of length, a JSON header, the buffer's own bytes. Any safetensors reader
 * opens them; nothing is packed or converted on the way. Format: https://github.com/huggingface/safetensors.
 */
public final class Safetensors {
    /** Longest header that is read, in bytes. A table of the largest model here takes a tenth of a percent of it. */
    public static final int MAX_HEADER = 16 << 20;

    /** Metadata key under which the number of entries in each {@link Region} is kept. */
    static final String REGIONS = "isthmus.regions";

    private static final int ALIGNMENT = 64;

    /**
     * What a file says of itself.
     *
     * @param table names, shapes, regions
     * @param metadata free text by key
     * @param dataOffset where the buffer's bytes begin in the file
     */
    public record Header(WeightTable table, Map<String, String> metadata, long dataOffset) {}

    /**
     * A tensor of any program's file.
     *
     * @param begin where it begins, in bytes behind the file's {@link Contents#dataOffset}
     * @param end the byte behind it
     */
    public record Stored(String name, DType type, Shape shape, long begin, long end) {}

    /**
     * What any program's file says of itself.
     *
     * @param tensors in the order in which they lie
     * @param dataOffset where their bytes begin in the file
     */
    public record Contents(List<Stored> tensors, Map<String, String> metadata, long dataOffset) {}

    private Safetensors() {}

    /** The bytes before the data: length and JSON, padded with blanks so that the data is aligned to 64 bytes. */
    public static byte[] header(WeightTable table, Map<String, String> metadata) {
        StringWriter text = new StringWriter();
        try (JsonGenerator json = new JsonFactory().createGenerator(ObjectWriteContext.empty(), text)) {
            json.writeStartObject();
            json.writeName("__metadata__");
            json.writeStartObject();
            Map<String, String> all = new TreeMap<>(metadata);
            all.put(REGIONS, regions(table));
            all.forEach((key, value) -> {
                json.writeName(key);
                json.writeString(value);
            });
            json.writeEndObject();
            for (WeightTable.Entry e : table.entries()) {
                json.writeName(e.name());
                json.writeStartObject();
                json.writeName("dtype");
                json.writeString("F32");
                json.writeName("shape");
                json.writeStartArray();
                for (int d : e.shape().dims())
                    json.writeNumber(d);
                json.writeEndArray();
                json.writeName("data_offsets");
                json.writeStartArray();
                json.writeNumber(e.offset() * Float.BYTES);
                json.writeNumber((e.offset() + e.elements()) * Float.BYTES);
                json.writeEndArray();
                json.writeEndObject();
            }
            json.writeEndObject();
        }
        byte[] body = text.toString().getBytes(StandardCharsets.UTF_8);
        int padded = (8 + body.length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        ByteBuffer out = ByteBuffer.allocate(padded).order(ByteOrder.LITTLE_ENDIAN);
        out.putLong(padded - 8L).put(body);
        while (out.hasRemaining())
            out.put((byte) ' ');
        return out.array();
    }

    private static String regions(WeightTable table) {
        return Arrays.stream(Region.values())
                .map(r -> Long.toString(table.entries().stream().filter(e -> e.region() == r).count()))
                .collect(Collectors.joining(" "));
    }

    /** Writes the buffer so that the file is there whole or not at all: temporary file, flush to disk, rename. */
    public static void write(Path file, WeightBuffer weights, Map<String, String> metadata) throws IOException {
        Path folder = file.toAbsolutePath().getParent();
        Files.createDirectories(folder);
        Path temporary = Files.createTempFile(folder, file.getFileName().toString(), ".part");
        try {
            try (FileChannel out = FileChannel.open(temporary, StandardOpenOption.WRITE)) {
                writeFully(out, ByteBuffer.wrap(header(weights.table(), metadata)));
                long step = 1L << 30;
                for (long at = 0; at < weights.segment().byteSize(); at += step) {
                    long length = Math.min(step, weights.segment().byteSize() - at);
                    writeFully(out, weights.segment().asSlice(at, length).asByteBuffer());
                }
                out.force(true);
            }
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            try (FileChannel directory = FileChannel.open(folder, StandardOpenOption.READ)) {
                directory.force(true);
            }
        } finally {
            Files.deleteIfExists(temporary);
        }
    }

    private static void writeFully(FileChannel out, ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining())
            out.write(bytes);
    }

    /** Reads and checks a file's header: at most {@link #MAX_HEADER} bytes, no holes, no overlap, nothing but float32. */
    public static Header inspect(Path file) throws IOException {
        try (FileChannel in = FileChannel.open(file, StandardOpenOption.READ)) {
            return inspect(file, in);
        }
    }

    private static Header inspect(Path file, FileChannel in) throws IOException {
        byte[] body = body(file, in);
        return SafetensorsHeader.parse(file.toString(), body, in.size() - 8 - body.length);
    }

    /** As {@link #inspect(Path)}, for files of other programs: tensors of any element type that {@link DType} knows. */
    public static Contents contents(Path file) throws IOException {
        try (FileChannel in = FileChannel.open(file, StandardOpenOption.READ)) {
            byte[] body = body(file, in);
            return SafetensorsHeader.contents(file.toString(), body, in.size() - 8 - body.length);
        }
    }

    private static byte[] body(Path file, FileChannel in) throws IOException {
        long size = in.size();
        ByteBuffer length = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
        readFully(file, in, length, 0);
        long headerBytes = length.getLong(0);
        if (headerBytes < 2 || headerBytes > MAX_HEADER || 8 + headerBytes > size) {
            throw new SafetensorsException(file + ": header length " + headerBytes + " is not within 2 and "
                    + Math.min(MAX_HEADER, size - 8) + "; this is no whole safetensors file");
        }
        ByteBuffer body = ByteBuffer.allocate((int) headerBytes);
        readFully(file, in, body, 8);
        return body.array();
    }

    /** Checks a header that came by itself, as from the wire: {@code bytes} holds length and JSON, no data. */
    public static Header inspect(String source, byte[] bytes, long dataBytes) {
        if (bytes.length < 10)
            throw new SafetensorsException(source + ": " + bytes.length + " bytes are no safetensors header");
        long headerBytes = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong(0);
        if (headerBytes != bytes.length - 8L || headerBytes > MAX_HEADER) {
            throw new SafetensorsException(
                    source + ": header length " + headerBytes + " does not fit " + bytes.length + " bytes");
        }
        byte[] body = new byte[(int) headerBytes];
        System.arraycopy(bytes, 8, body, 0, body.length);
        return SafetensorsHeader.parse(source, body, dataBytes);
    }

    private static void readFully(Path file, FileChannel in, ByteBuffer into, long from) throws IOException {
        while (into.hasRemaining()) {
            int n = in.read(into, from + into.position());
            if (n < 0) throw new SafetensorsException(file + ": ends after " + in.size() + " bytes, inside the header");
        }
    }

    /**
     * Reads a file's values into a buffer of the same names and shapes.
     *
     * @return the file's metadata
     */
    public static Map<String, String> load(Path file, WeightBuffer into) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            Mapped mapped = map(file, arena);
            WeightTable theirs = mapped.weights.table();
            boolean same = theirs.entries().size() == into.table().entries().size();
            for (WeightTable.Entry e : into.table().entries()) {
                same &= theirs.has(e.name()) && theirs.entry(e.name()).shape().equals(e.shape());
            }
            if (!same) {
                throw new SafetensorsException(
                        file + ": not the weights of this model; " + into.table().differences(theirs, 5));
            }
            for (WeightTable.Entry e : into.table().entries()) {
                into.slice(e).copyFrom(mapped.weights.slice(e.name()));
            }
            return mapped.metadata;
        }
    }

    /**
     * A file's weights without reading them: pages come in when touched.
     *
     * @param weights read-only, valid while the arena is open
     */
    public record Mapped(WeightBuffer weights, Map<String, String> metadata) {}

    /** Maps a file's weights into memory, read-only, for as long as the arena is open. */
    public static Mapped map(Path file, Arena arena) throws IOException {
        try (FileChannel in = FileChannel.open(file, StandardOpenOption.READ)) {
            Header header = inspect(file, in);
            MemorySegment data = in.map(FileChannel.MapMode.READ_ONLY, header.dataOffset, header.table.bytes(), arena);
            return new Mapped(new WeightBuffer(header.table, data), header.metadata);
        }
    }
}
