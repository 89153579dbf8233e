package isthmus.server;

import isthmus.wire.AtomicFiles;
import isthmus.wire.Json;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HexFormat;
import java.util.function.Consumer;
import java.util.zip.CRC32C;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A job's append-only memory: one {@link Event} a line, {@code CRC32C SPACE JSON}. A line is on disk before
 * {@link #append} returns. A last line that a crash cut off never counted and is dropped; a broken line before it is an
 * error, for then the disk or a person changed history.
 */
final class Journal implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Journal.class);
    private static final int MAX_LINE = 4 << 20;

    private final Path file;
    private final FileChannel channel;

    private Journal(Path file, FileChannel channel) {
        this.file = file;
        this.channel = channel;
    }

    /** Opens or makes a journal and replays its events in order. */
    static Journal open(Path file, Consumer<Event> replay) throws IOException {
        boolean fresh = Files.notExists(file);
        FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.READ,
                StandardOpenOption.WRITE);
        try {
            if (fresh)
                AtomicFiles.syncFolder(file.toAbsolutePath().getParent());
            long good = replay(file, replay);
            if (good < channel.size()) {
                LOG.warn("{}: its last line was cut off by a crash and is dropped; nobody was told that it counted",
                        file);
                channel.truncate(good);
                channel.force(true);
            }
            channel.position(good);
            return new Journal(file, channel);
        } catch (IOException | RuntimeException e) {
            channel.close();
            throw e;
        }
    }

    private static long replay(Path file, Consumer<Event> replay) throws IOException {
        long good = 0;
        int number = 0;
        try (var in = new java.io.BufferedInputStream(Files.newInputStream(file))) {
            var line = new java.io.ByteArrayOutputStream();
            for (int b = in.read(); b >= 0; b = in.read()) {
                if (b != '\n') {
                    if (line.size() == MAX_LINE)
                        throw broken(file, number + 1);
                    line.write(b);
                    continue;
                }
                number++;
                byte[] bytes = line.toByteArray();
                line.reset();
                Event event = parse(file, number, bytes);
                if (event == null) {
                    if (in.read() < 0)
                        return good;
                    throw broken(file, number);
                }
                replay.accept(event);
                good += bytes.length + 1;
            }
        }
        return good;
    }

    private static Event parse(Path file, int number, byte[] line) {
        if (line.length < 10 || line[8] != ' ')
            return null;
        byte[] json = java.util.Arrays.copyOfRange(line, 9, line.length);
        if (!checksum(json).equals(new String(line, 0, 8, StandardCharsets.US_ASCII)))
            return null;
        return Json.read(json, Event.class, file + ", line " + number);
    }

    private static IOException broken(Path file, int line) {
        return new IOException(file + ", line " + line + ": its checksum is wrong though lines follow it; the file was"
                + " changed or the disk is failing: bring it back from a copy, or move the job's folder away");
    }

    /** Writes an event and waits until the disk has it. Called under the server's lock. */
    void append(Event event) {
        byte[] json = Json.bytes(event);
        byte[] line = (checksum(json) + " " + new String(json, StandardCharsets.UTF_8) + "\n")
                .getBytes(StandardCharsets.UTF_8);
        try {
            long before = channel.position();
            try {
                ByteBuffer buffer = ByteBuffer.wrap(line);
                while (buffer.hasRemaining())
                    channel.write(buffer);
                channel.force(false);
            } catch (IOException e) {
                channel.truncate(before);
                channel.position(before);
                throw e;
            }
        } catch (IOException e) {
            throw new UncheckedIOException(file + " cannot be written: " + e.getMessage(), e);
        }
    }

    private static String checksum(byte[] bytes) {
        CRC32C crc = new CRC32C();
        crc.update(bytes);
        return HexFormat.of().toHexDigits((int) crc.getValue());
    }

    @Override
    public void close() throws IOException { channel.close(); }
}
