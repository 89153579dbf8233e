package isthmus.client;

import isthmus.tensor.HostMath;
import isthmus.tensor.Region;
import isthmus.tensor.Safetensors;
import isthmus.tensor.WeightBuffer;
import isthmus.tensor.WeightTable;
import isthmus.wire.AtomicFiles;
import isthmus.wire.Json;
import isthmus.wire.Link;
import isthmus.wire.OwnerOnly;
import isthmus.wire.Patience;
import isthmus.wire.RefusalException;
import isthmus.wire.Sha256;
import isthmus.wire.Task;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * The global weights at a site: the fetched file, and one off-heap buffer that is trained in place and then turned into
 * the difference in place. The buffer lives as long as the weight table stays the same. Used by one thread.
 */
final class SiteWeights implements AutoCloseable {
    private final Path folder;
    private Arena arena;
    private WeightBuffer working;
    private Path file;

    SiteWeights(Path folder) { this.folder = folder; }

    /** Fetches what a task names, unless it is here already, and loads it into the working buffer. */
    WeightBuffer load(Link link, Task task, Patience patience, Link.Fetched fetched)
            throws IOException, InterruptedException {
        Task.Weights weights = task.weights();
        Path jobFolder = folder.resolve(task.job());
        OwnerOnly.folder(jobFolder);
        file = jobFolder.resolve("global-%04d.safetensors".formatted(weights.round()));
        if (!Files.exists(file) || Files.size(file) != weights.bytes() || !Sha256.of(file).equals(weights.sha256())) {
            String path = "/v1/jobs/" + task.job() + "/global/" + weights.round();
            reuseFrozen(link, path, jobFolder, weights, patience);
            patience.run(() -> {
                link.download(path, file, weights.bytes(), weights.sha256(), fetched);
                return null;
            });
        }
        dropOthers(jobFolder);
        WeightTable table = Safetensors.inspect(file).table();
        if (!table.digest().equals(weights.table()))
            throw RefusalException.bad("wrong_table", "the fetched weights have table " + table.digest()
                    + ", the task says " + weights.table(), "job " + task.job(), "the server is at fault; report it");
        if (working == null || !working.table().digest().equals(table.digest())) {
            close();
            arena = Arena.ofShared();
            working = WeightBuffer.allocate(table, arena);
        }
        Safetensors.load(file, working);
        return working;
    }

    /**
     * Frozen weights reach a site once: an older file of the same table has them, so the download begins with the new
     * header and those, and goes on behind them. The whole file's digest is checked as ever; should the frozen weights
     * have changed after all, the file is fetched anew from its first byte.
     */
    private void reuseFrozen(Link link, String path, Path jobFolder, Task.Weights weights, Patience patience)
            throws IOException, InterruptedException {
        Path part = Link.part(file);
        Path older = Files.exists(part) ? null : olderFile(jobFolder);
        if (older == null)
            return;
        Safetensors.Header had = Safetensors.inspect(older);
        long frozen = had.table().range(Region.FROZEN).length() * Float.BYTES;
        long header = weights.bytes() - had.table().bytes();
        if (!had.table().digest().equals(weights.table()) || frozen == 0 || header < 10 || header > Json.MAX_BYTES)
            return;
        byte[] head = patience.run(() -> link.head(path, (int) header));
        Path fresh = file.resolveSibling(file.getFileName() + ".new");
        try (FileChannel in = FileChannel.open(older, StandardOpenOption.READ);
                FileChannel out = FileChannel.open(fresh, StandardOpenOption.CREATE,
                        StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE)) {
            ByteBuffer bytes = ByteBuffer.wrap(head);
            while (bytes.hasRemaining())
                out.write(bytes);
            for (long done = 0; done < frozen;)
                done += in.transferTo(had.dataOffset() + done, frozen - done, out);
        }
        AtomicFiles.move(fresh, part);
    }

    private Path olderFile(Path jobFolder) throws IOException {
        try (var files = Files.newDirectoryStream(jobFolder, "global-*.safetensors")) {
            for (Path other : files)
                if (!other.equals(file))
                    return other;
        }
        return null;
    }

    private void dropOthers(Path jobFolder) throws IOException {
        try (var files = Files.newDirectoryStream(jobFolder, "global-*")) {
            for (Path other : files)
                if (!other.equals(file))
                    Files.delete(other);
        }
    }

    /** Turns the trained weights into the update, in place: trained minus global, over the exchanged range. */
    MemorySegment difference() throws IOException {
        try (Arena reading = Arena.ofConfined()) {
            WeightTable.Range range = working.table().exchanged();
            MemorySegment base = Safetensors.map(file, reading).weights().range(range);
            MemorySegment update = working.range(range);
            HostMath.difference(update, base, update, range.length());
            return update;
        }
    }

    @Override
    public void close() {
        if (arena != null)
            arena.close();
        arena = null;
        working = null;
    }
}
