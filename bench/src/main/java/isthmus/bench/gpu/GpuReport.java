package isthmus.bench.gpu;

import isthmus.report.Figures;
import isthmus.report.JsonFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import tools.jackson.databind.JsonNode;

/** What the check has found so far, in two files that are whole at any time: {@code gpu.json} and {@code gpu.md}. */
final class GpuReport {
    /** How a part stands. */
    enum Status {
        /** It has not begun, or the run ended before it could. */
        WAITING,
        /** It is running, or the run was cut in the middle of it. */
        RUNNING,
        /** It ended well. */
        OK,
        /** It went wrong. */
        FAILED,
        /** Its time was over; what it had found stays. */
        CUT,
        /** It was not begun. */
        NOT_RUN
    }

    /** One part's row in the file. */
    record Row(String name, String title, Status status, double seconds, String words, String note,
            List<JsonNode> results) {
        Row with(Status now, double took, String said) { return new Row(name, title, now, took, said, note, results); }
    }

    /** The whole file. */
    record Whole(String check, String started, String device, boolean emulated, double minutes, boolean finished,
            double seconds, List<Row> parts) {}

    private final Path folder;
    private final String device;
    private final double minutes;
    private final String started = Instant.now().truncatedTo(ChronoUnit.SECONDS).toString();
    private final long begin = System.nanoTime();
    private final Map<String, Row> rows = new LinkedHashMap<>();
    private boolean finished;

    GpuReport(Path folder, String device, double minutes, List<Part> parts) throws IOException {
        this.folder = folder;
        this.device = device;
        this.minutes = minutes;
        Files.createDirectories(folder);
        for (Part p : parts)
            rows.put(p.name(), new Row(p.name(), p.title(), Status.WAITING, 0, "", p.note(), new ArrayList<>()));
        write();
    }

    double seconds() { return (System.nanoTime() - begin) / 1e9; }

    /** A line that a part printed. */
    synchronized void add(Part part, JsonNode line) {
        rows.get(part.name()).results.add(line);
        write();
    }

    synchronized void set(Part part, Status status, double seconds, String words) {
        rows.computeIfPresent(part.name(), (name, row) -> row.with(status, Figures.round(seconds, 1), words));
        write();
    }

    synchronized Row row(Part part) { return rows.get(part.name()); }

    synchronized void finish() {
        finished = true;
        write();
    }

    synchronized boolean isGood() {
        return rows.values().stream().noneMatch(r -> r.status == Status.FAILED || r.status == Status.CUT);
    }

    private void write() {
        Whole whole = new Whole("isthmus gpu", started, device, device.equals(GpuCheck.EMULATED), minutes, finished,
                Figures.round(seconds(), 1), List.copyOf(rows.values()));
        try {
            JsonFile.write(folder.resolve("gpu.json"), whole);
            Path fresh = folder.resolve("gpu.md.part");
            Files.writeString(fresh, GpuMarkdown.of(whole));
            Files.move(fresh, folder.resolve("gpu.md"), java.nio.file.StandardCopyOption.ATOMIC_MOVE,
                    java.nio.file.StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException e) {
            throw new UncheckedIOException("the report cannot be written to " + folder, e);
        }
    }
}
