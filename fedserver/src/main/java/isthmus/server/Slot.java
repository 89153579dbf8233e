package isthmus.server;

import isthmus.wire.AtomicFiles;
import isthmus.wire.Chunks;
import isthmus.wire.Json;
import isthmus.wire.RefusalException;
import isthmus.wire.Sha256;
import isthmus.wire.UploadState;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Where one upload is staged while it streams in: a file mapped off the heap, reused round after round. A chunk counts
 * once the bytes that lie here have the announced digest; digests are kept in a second file, so a server that was killed
 * finds the chunks again by hashing them anew and need not trust what the crash left. Safe for use by many threads.
 */
final class Slot implements AutoCloseable {
    /** What the upload is; kept beside the bytes. */
    private record Announced(String sha256, long bytes, int chunkBytes) {}

    private static final int SUM = 32;

    private final Path dataFile;
    private final Path sumsFile;
    private final Path announcedFile;
    private final String where;
    private final ReentrantLock lock = new ReentrantLock();
    /** Held by begin and commit, which decide; chunks do not take it. */
    final ReentrantLock deciding = new ReentrantLock();

    private Announced announced;
    private Chunks chunks;
    private Arena arena;
    private MemorySegment data;
    private MemorySegment sums;
    private BitSet verified = new BitSet();
    private Writer[] writers = new Writer[0];

    /** @param where named in refusals */
    Slot(Path folder, String name, String where) {
        this.dataFile = folder.resolve(name + ".slot");
        this.sumsFile = folder.resolve(name + ".sums");
        this.announcedFile = folder.resolve(name + ".json");
        this.where = where;
    }

    /** Makes room for an upload. The same upload again keeps its verified chunks; another one starts from nothing. */
    void begin(String sha256, Chunks wanted) throws IOException {
        lock.lock();
        try {
            Announced now = new Announced(sha256, wanted.bytes(), wanted.chunkBytes());
            if (now.equals(announced))
                return;
            boolean again = announced == null && Files.exists(announcedFile)
                    && Json.read(announcedFile, Announced.class).equals(now) && isWhole(wanted);
            map(wanted);
            if (!again) {
                sums.fill((byte) 0);
                sums.force();
                Path fresh = announcedFile.resolveSibling(announcedFile.getFileName() + ".new");
                Files.write(fresh, Json.bytes(now));
                AtomicFiles.move(fresh, announcedFile);
            }
            announced = now;
            writers = new Writer[wanted.count()];
            verified = findVerified();
        } finally {
            lock.unlock();
        }
    }

    private boolean isWhole(Chunks wanted) throws IOException {
        return Files.exists(dataFile) && Files.exists(sumsFile) && Files.size(dataFile) == wanted.bytes()
                && Files.size(sumsFile) == (long) wanted.count() * SUM;
    }

    /** Blocks of the disk are taken here, all at once: a full disk is an error now, not a crash in the middle. */
    private void map(Chunks wanted) throws IOException {
        if (arena != null)
            arena.close();
        arena = Arena.ofShared();
        chunks = wanted;
        data = map(dataFile, wanted.bytes());
        sums = map(sumsFile, (long) wanted.count() * SUM);
    }

    private MemorySegment map(Path file, long bytes) throws IOException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.READ,
                StandardOpenOption.WRITE)) {
            if (channel.size() > bytes)
                channel.truncate(bytes);
            ByteBuffer zeros = ByteBuffer.allocate(1 << 16);
            for (long at = channel.size(); at < bytes; at += zeros.limit()) {
                zeros.clear().limit((int) Math.min(zeros.capacity(), bytes - at));
                channel.write(zeros, at);
            }
            return channel.map(FileChannel.MapMode.READ_WRITE, 0, bytes, arena);
        }
    }

    private BitSet findVerified() {
        BitSet found = new BitSet();
        byte[] none = new byte[SUM];
        for (int i = 0; i < chunks.count(); i++) {
            byte[] sum = sum(i).toArray(java.lang.foreign.ValueLayout.JAVA_BYTE);
            if (!Arrays.equals(sum, none) && Arrays.equals(sum, Sha256.raw(chunk(i))))
                found.set(i);
        }
        return found;
    }

    private MemorySegment sum(int chunk) { return sums.asSlice((long) chunk * SUM, SUM); }

    private MemorySegment chunk(int i) { return data.asSlice(chunks.offset(i), chunks.length(i)); }

    /** How far it is. */
    UploadState state(String id, boolean accepted) {
        lock.lock();
        try {
            List<UploadState.Span> missing = new ArrayList<>();
            if (!accepted) {
                int count = chunks.count();
                for (int i = verified.nextClearBit(0); i < count; i = verified.nextClearBit(i)) {
                    int end = verified.nextSetBit(i);
                    int to = end < 0 ? count : end;
                    missing.add(new UploadState.Span(i, to));
                    i = to;
                }
            }
            return new UploadState(id, accepted, missing);
        } finally {
            lock.unlock();
        }
    }

    /** Opens a chunk for writing; an older connection that was still at it loses it, for it is most likely dead. */
    Writer write(int chunk, String sha256, long length) {
        lock.lock();
        try {
            String place = where + ", chunk " + chunk;
            if (announced == null)
                throw RefusalException.conflict("not_begun", "no upload was begun", place, "begin it with its header");
            if (chunk < 0 || chunk >= chunks.count())
                throw RefusalException.bad("bad_chunk", "there are chunks 0 to " + (chunks.count() - 1), place,
                        "send the chunks that begin lists as missing");
            if (length != chunks.length(chunk))
                throw RefusalException.bad("bad_length",
                        "this chunk has " + chunks.length(chunk) + " bytes, the request says " + length, place,
                        "send exactly this chunk, with Content-Length");
            if (!Sha256.isDigest(sha256))
                throw RefusalException.bad("bad_digest", "the chunk's SHA-256 is missing or malformed", place,
                        "send it in the header " + isthmus.wire.Link.CHUNK_DIGEST);
            Writer writer = new Writer(chunk, sha256);
            writers[chunk] = writer;
            return writer;
        } finally {
            lock.unlock();
        }
    }

    /** One chunk on its way in. {@link #put} runs on the event loop, {@link #finish} on a worker. */
    final class Writer {
        private final int chunk;
        private final String sha256;
        private long at;

        private Writer(int chunk, String sha256) {
            this.chunk = chunk;
            this.sha256 = sha256;
        }

        /** Takes bytes in their order; a verified chunk stays as it is, and so does one that was taken over. */
        void put(byte[] bytes, int length) {
            lock.lock();
            try {
                if (at + length > chunks.length(chunk))
                    throw RefusalException.bad("bad_length", "more bytes came than announced", where, "send it anew");
                if (writers[chunk] == this && !verified.get(chunk))
                    MemorySegment.copy(MemorySegment.ofArray(bytes), 0, data, chunks.offset(chunk) + at, length);
                at += length;
            } finally {
                lock.unlock();
            }
        }

        /** Verifies the bytes that lie in the slot; only now does the chunk count. */
        void finish() {
            lock.lock();
            try {
                String place = where + ", chunk " + chunk;
                if (writers[chunk] != this)
                    throw RefusalException.conflict("taken_over", "another connection sends this chunk", place,
                            "begin again and send what is missing");
                if (at != chunks.length(chunk))
                    throw RefusalException.bad("truncated", "the body ended after " + at + " of "
                            + chunks.length(chunk) + " bytes", place, "send the chunk anew");
                byte[] came = Sha256.raw(chunk(chunk));
                if (!HexFormat.of().formatHex(came).equals(sha256))
                    throw RefusalException.bad("chunk_digest_mismatch", "the bytes have digest "
                            + HexFormat.of().formatHex(came) + ", the header says " + sha256, place,
                            "something on the way changes bytes; send the chunk anew");
                writers[chunk] = null;
                sum(chunk).copyFrom(MemorySegment.ofArray(came));
                verified.set(chunk);
            } finally {
                lock.unlock();
            }
        }
    }

    /** Whether every chunk is verified. */
    boolean isComplete() {
        lock.lock();
        try {
            return announced != null && verified.cardinality() == chunks.count();
        } finally {
            lock.unlock();
        }
    }

    /** The staged bytes, read-only. They stay as they are while the upload is complete. */
    MemorySegment bytes() {
        return data.asReadOnly();
    }

    /** Makes the staged bytes survive a power cut. */
    void force() {
        data.force();
        sums.force();
    }

    /** Forgets all chunks: what was staged turned out to be wrong. */
    void reset() {
        lock.lock();
        try {
            announced = null;
            if (sums != null)
                sums.fill((byte) 0);
            verified.clear();
            writers = new Writer[writers.length];
        } finally {
            lock.unlock();
        }
    }

    /** Finds an accepted update again after a restart; false if its bytes are not those that were accepted. */
    boolean recover(String sha256, Chunks wanted) throws IOException {
        lock.lock();
        try {
            if (!isWhole(wanted))
                return false;
            map(wanted);
            if (!Sha256.of(data).equals(sha256))
                return false;
            announced = new Announced(sha256, wanted.bytes(), wanted.chunkBytes());
            writers = new Writer[wanted.count()];
            verified.set(0, wanted.count());
            return true;
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void close() {
        lock.lock();
        try {
            if (arena != null)
                arena.close();
            arena = null;
            announced = null;
        } finally {
            lock.unlock();
        }
    }

    /** Gives the disk space back. */
    void delete() throws IOException {
        close();
        for (Path file : List.of(dataFile, sumsFile, announcedFile))
            Files.deleteIfExists(file);
    }
}
