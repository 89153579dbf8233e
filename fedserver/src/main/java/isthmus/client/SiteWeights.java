package isthmus.client;

import isthmus.tensor.HostMath;
import isthmus.tensor.Safetensors;
import isthmus.tensor.WeightBuffer;
import isthmus.tensor.WeightTable;
import isthmus.wire.Link;
import isthmus.wire.OwnerOnly;
import isthmus.wire.Patience;
import isthmus.wire.RefusalException;
import isthmus.wire.Sha256;
import isthmus.wire.Task;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;

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
        if (!Files.exists(file) || Files.size(file) != weights.bytes() || !Sha256.of(file).equals(weights.sha256()))
            patience.run(() -> {
                link.download("/v1/jobs/" + task.job() + "/global/" + weights.round(), file, weights.bytes(),
                        weights.sha256(), fetched);
                return null;
            });
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
