package isthmus.bench.gpu;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.concurrent.TimeUnit;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.json.JsonMapper;

/** Runs one part in a process of its own; lines of JSON on its standard output are results, all else goes to the log. */
final class PartRun {
    /** Ends a part that cannot be run here, with the reason as its last words. */
    static final int NOT_HERE = 3;

    private static final String UNCAUGHT = "Exception in thread \"main\" ";
    private static final int MOST_WORDS = 400;

    private final Part part;
    private final GpuReport report;
    private final Path log;

    PartRun(Part part, GpuReport report, Path log) {
        this.part = part;
        this.report = report;
        this.log = log;
    }

    /** Runs it for at most {@code limit} seconds. */
    void run(double limit) throws IOException, InterruptedException {
        long begin = System.nanoTime();
        report.set(part, GpuReport.Status.RUNNING, 0, "");
        Path words = Files.createTempFile("isthmus-gpu", ".err");
        try {
            var builder = new ProcessBuilder(part.command()).redirectError(words.toFile());
            builder.environment().putAll(part.environment());
            Process process = builder.start();
            Thread reader = Thread.ofPlatform().daemon().name("lines").start(() -> read(process));
            Thread hook = new Thread(() -> end(process));
            Runtime.getRuntime().addShutdownHook(hook);
            boolean ended = process.waitFor(Math.round(limit * 1e3), TimeUnit.MILLISECONDS);
            if (!ended) end(process);
            reader.join(TimeUnit.SECONDS.toMillis(5));
            Runtime.getRuntime().removeShutdownHook(hook);
            close(begin, ended ? process.waitFor() : -1, Files.readAllLines(words, StandardCharsets.ISO_8859_1));
        } catch (IOException e) {
            report.set(part, GpuReport.Status.FAILED, 0, e.getMessage());
        } finally {
            Files.deleteIfExists(words);
        }
    }

    private static void end(Process process) {
        process.descendants().forEach(ProcessHandle::destroyForcibly);
        process.destroyForcibly();
    }

    private void read(Process process) {
        try (BufferedReader lines = process.inputReader()) {
            for (String line = lines.readLine(); line != null; line = lines.readLine())
                if (!isResult(line)) log(List.of(line));
        } catch (IOException e) {
            // The process was ended in the middle of a line.
            assert !process.isAlive();
        }
    }

    private boolean isResult(String line) {
        if (!line.startsWith("{")) return false;
        try {
            report.add(part, JsonMapper.shared().readTree(line));
            return true;
        } catch (JacksonException e) {
            return false; // a line that was cut
        }
    }

    private void close(long begin, int code, List<String> said) throws IOException {
        double seconds = (System.nanoTime() - begin) / 1e9;
        log(said);
        GpuReport.Status status = switch (code) {
            case 0 -> GpuReport.Status.OK;
            case -1 -> GpuReport.Status.CUT;
            case NOT_HERE -> GpuReport.Status.NOT_RUN;
            default -> GpuReport.Status.FAILED;
        };
        String words = switch (status) {
            case OK -> "";
            case CUT -> "ended after " + Math.round(seconds) + " s, its limit";
            default -> status == GpuReport.Status.FAILED && said.isEmpty() ? "code " + code : essence(said);
        };
        report.set(part, status, seconds, words);
    }

    /** What was thrown, else the last line. */
    private static String essence(List<String> said) {
        String words = said.stream().filter(l -> l.startsWith(UNCAUGHT)).map(l -> l.substring(UNCAUGHT.length()))
                .findFirst().orElseGet(() -> said.stream().filter(l -> !l.isBlank()).reduce("", (a, b) -> b));
        return words.length() > MOST_WORDS ? words.substring(0, MOST_WORDS) + "..." : words;
    }

    private synchronized void log(List<String> lines) {
        try {
            Files.write(log, lines.stream().map(l -> part.name() + ": " + l).toList(), StandardOpenOption.CREATE,
                    StandardOpenOption.APPEND);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
