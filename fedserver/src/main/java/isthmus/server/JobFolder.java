package isthmus.server;

import isthmus.tensor.WeightBuffer;
import isthmus.tensor.Safetensors;
import isthmus.wire.AtomicFiles;
import isthmus.wire.JobSpec;
import isthmus.wire.Json;
import isthmus.wire.OwnerOnly;
import isthmus.wire.RoundRecord;
import isthmus.wire.Sha256;
import isthmus.wire.Task;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * A job's folder:
 *
 * <pre>
 * job.json                  as submitted, defaults filled in
 * journal.log               what happened (see Journal)
 * global-000N.safetensors   global weights after round N; 0 is the start; only the newest is kept
 * best, last.safetensors    with job, round, metrics and provenance in their metadata
 * metrics.jsonl             one finished round a line
 * slots/                    staged updates, one a site
 * </pre>
 */
record JobFolder(Path path) {
    static JobFolder create(Path path, JobSpec spec) throws IOException {
        OwnerOnly.folder(path.resolve("slots"));
        OwnerOnly.replace(path.resolve("job.json"), Json.pretty(spec));
        return new JobFolder(path);
    }

    JobSpec spec() throws IOException { return Json.read(path.resolve("job.json"), JobSpec.class); }

    Path journal() { return path.resolve("journal.log"); }

    Path slots() { return path.resolve("slots"); }

    Path global(int round) { return path.resolve("global-%04d.safetensors".formatted(round)); }

    /** {@code best} or {@code last}. */
    Path model(String which) { return path.resolve(which + ".safetensors"); }

    /** Writes a round's weights and says what a site must know to fetch them. */
    Task.Weights writeGlobal(int round, WeightBuffer weights, Map<String, String> metadata) throws IOException {
        Safetensors.write(global(round), weights, metadata);
        return describe(round);
    }

    Task.Weights describe(int round) throws IOException { return describe(global(round), round); }

    static Task.Weights describe(Path file, int round) throws IOException {
        return new Task.Weights(round, Files.size(file), Sha256.of(file),
                Safetensors.inspect(file).table().digest());
    }

    /** Copies a round's weights to the best or last model, with metadata of its own. */
    void keep(String which, int round, Map<String, String> more) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            Safetensors.Mapped global = Safetensors.map(global(round), arena);
            Map<String, String> metadata = new java.util.TreeMap<>(global.metadata());
            metadata.putAll(more);
            Safetensors.write(model(which), global.weights(), metadata);
        }
    }

    /** Weights that no site can ask for any more. */
    void dropGlobalBefore(int round) throws IOException {
        try (var files = Files.newDirectoryStream(path, "global-*.safetensors")) {
            for (Path file : files)
                if (file.getFileName().toString().compareTo(global(round).getFileName().toString()) < 0)
                    Files.delete(file);
        }
    }

    /** Appends a finished round for people and plots; the journal is what counts. */
    void appendMetrics(RoundRecord round) {
        try {
            Files.writeString(metrics(), Json.text(round) + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        } catch (IOException e) {
            throw new UncheckedIOException(metrics() + " cannot be written: " + e.getMessage(), e);
        }
    }

    /** At most {@code most} finished rounds after a round, oldest first; read from disk, not kept in memory. */
    List<RoundRecord> history(int after, int most) {
        List<RoundRecord> rounds = new ArrayList<>();
        if (Files.notExists(metrics()))
            return rounds;
        try (var lines = Files.lines(metrics())) {
            lines.skip(after).limit(most).forEach(line -> rounds.add(Json.read(
                    line.getBytes(java.nio.charset.StandardCharsets.UTF_8), RoundRecord.class, metrics().toString())));
        } catch (IOException e) {
            throw new UncheckedIOException(metrics() + " cannot be read: " + e.getMessage(), e);
        }
        return rounds;
    }

    /** Removes the folder of a job that never started. */
    void delete() throws IOException {
        try (var files = Files.walk(path)) {
            for (Path file : files.sorted(java.util.Comparator.reverseOrder()).toList())
                Files.delete(file);
        }
    }

    private Path metrics() { return path.resolve("metrics.jsonl"); }
}
