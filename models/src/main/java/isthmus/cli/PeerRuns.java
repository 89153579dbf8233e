package isthmus.cli;

import isthmus.profile.Workload;
import isthmus.task.CoreLease;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Runs our benchmark and PyTorch's, each in a process of its own, and reads the line that each prints. */
final class PeerRuns {
    /** Pages stay with the process instead of going back to the system at every step: worth 1.2 to 2 times to PyTorch. */
    private static final String MALLOC_CONF = "oversize_threshold:1,background_thread:false,metadata_thp:auto,"
            + "dirty_decay_ms:-1,muzzy_decay_ms:-1,thp:always";
    private static final long PATIENCE_SECONDS = 1800;

    private final Path python;
    private final Path script;
    private final Optional<Path> jemalloc;
    private final Path logs;
    private final int threads;
    private final boolean pin;
    private final int steps;

    PeerRuns(Path python, Path script, Optional<Path> jemalloc, Path logs, int threads, boolean pin, int steps) {
        this.python = python;
        this.script = script;
        this.jemalloc = jemalloc;
        this.logs = logs;
        this.threads = threads;
        this.pin = pin;
        this.steps = steps;
    }

    /** One run of ours. */
    JsonNode ours(Workload w, String precision) throws IOException, InterruptedException {
        try (var children = new Children()) {
            var arguments = new ArrayList<>(List.of("bench", "train", "--json"));
            arguments.addAll(options(w, precision));
            if (pin) arguments.add("--pin");
            var child = children.start("ours", "1g", logs, arguments);
            children.await(List.of(child), PATIENCE_SECONDS);
            if (child.process().isAlive()) throw tooSlow("ours", w);
            return JsonMapper.shared().readTree(Files.readString(child.out()));
        }
    }

    /** One run of PyTorch's, with our lease of the cores. */
    JsonNode torch(Workload w, String precision) throws IOException, InterruptedException {
        var command = new ArrayList<>(List.of(python.toString(), script.toString()));
        command.addAll(options(w, precision));
        Path out = logs.resolve("torch.out");
        Path err = logs.resolve("torch.log");
        var builder = new ProcessBuilder(command).redirectOutput(out.toFile()).redirectError(err.toFile());
        builder.environment().put("MALLOC_CONF", MALLOC_CONF);
        if (pin) builder.environment().putAll(Map.of("OMP_PROC_BIND", "close", "OMP_PLACES", "cores"));
        jemalloc.ifPresent(j -> builder.environment().put("LD_PRELOAD", j.toString()));
        try (CoreLease lease = CoreLease.acquire(threads)) {
            Process process = start(builder);
            try {
                if (!process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS)) throw tooSlow("PyTorch", w);
                if (process.exitValue() != 0) throw failed(process.exitValue(), err);
            } finally {
                process.destroyForcibly();
            }
        }
        return JsonMapper.shared().readTree(Files.readString(out));
    }

    /** Removes what the processes said, once all went well. */
    void forgetLogs() throws IOException {
        for (String name : List.of("ours.out", "ours.log", "torch.out", "torch.log"))
            Files.deleteIfExists(logs.resolve(name));
        Files.delete(logs);
    }

    private Process start(ProcessBuilder builder) {
        try {
            return builder.start();
        } catch (IOException e) {
            throw new CliException(Exit.USAGE, "--python " + python + " cannot be run (" + e.getMessage()
                    + "); name a Python that has PyTorch", e);
        }
    }

    private static CliException failed(int code, Path log) throws IOException {
        List<String> words = Files.readAllLines(log).stream().filter(l -> !l.isBlank()).toList();
        String last = words.isEmpty() ? "it said nothing" : words.getLast();
        return new CliException(Exit.FAILED, "PyTorch's side ended with code " + code + ": " + last);
    }

    private static CliException tooSlow(String who, Workload w) {
        return new CliException(Exit.FAILED, who + " did not end " + w.model() + " in " + PATIENCE_SECONDS + " s");
    }

    private List<String> options(Workload w, String precision) {
        var all = new ArrayList<String>();
        Map.of("--model", w.model(), "--batch", w.batch(), "--precision", precision, "--size", w.size(), "--channels",
                w.channels(), "--classes", w.classes(), "--steps", steps, "--threads", threads)
                .forEach((k, v) -> all.addAll(List.of(k, v.toString().toLowerCase(Locale.ROOT))));
        return all;
    }

    /** The system's jemalloc, if it is installed. */
    static Optional<Path> findJemalloc() {
        return List.of("/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib").stream()
                .map(folder -> Path.of(folder, "libjemalloc.so.2")).filter(Files::isReadable).findFirst();
    }
}
