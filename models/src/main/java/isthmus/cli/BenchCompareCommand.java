package isthmus.cli;

import isthmus.profile.Workload;
import isthmus.report.JsonFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Times our training step and PyTorch's in turn. */
@picocli.CommandLine.Command(name = "compare", description = "Times our training step and PyTorch's in turn, each run in a process of its"
        + " own, and writes medians as JSON and as a Markdown table.", footer = {"",
                "Example: isthmus bench compare --python venv/bin/python --models resnet34,convnet2 --runs 3",
                "The Python needs torch and torchvision; jemalloc is used where it is installed (Debian: libjemalloc2)."})
final class BenchCompareCommand extends Command {
    private static final List<String> ALL = List.of("densenet121", "resnet34", "efficientnet_b0", "convnet2",
            "segresnet");

    @Option(names = "--python", required = true, paramLabel = "FILE", description = "A Python that has PyTorch.")
    private Path python;

    @Option(names = "--models", split = ",", paramLabel = "NAME", description = "Networks. Default: densenet121, resnet34,"
            + " efficientnet_b0, convnet2, segresnet.")
    private List<String> models = ALL;

    @Option(names = "--batch", paramLabel = "N", description = "Samples a step. Default: 32, of volumes 1.")
    private Integer batch;

    @Option(names = "--size", paramLabel = "N", description = "Edge of image or volume. Default: 224, of volumes 96.")
    private Integer size;

    @Option(names = "--runs", paramLabel = "N", description = "Processes of each side and precision. Default: 3.")
    private int runs = 3;

    @Option(names = "--steps", paramLabel = "N", description = "Steps that each times. Default: 6.")
    private int steps = 6;

    @Mixin
    private Cores cores;

    @Option(names = "--all", description = "All five networks, each at its usual size. The default.")
    private boolean all;

    @Option(names = {"--report",
            "--out"}, paramLabel = "DIR", description = "Where the results go, as DATE-MACHINE-peers.json and .md."
                    + " Default: bench/results.")
    private Path out;

    @Override
    void run(Terminal terminal) throws Exception {
        int threads = cores.threads();
        if (runs < 1 || steps < 1)
            throw new CliException(Exit.USAGE, "--runs is " + runs + ", --steps " + steps + "; each is 1 or more");
        if (all && (!models.equals(ALL) || batch != null || size != null))
            throw new CliException(Exit.USAGE, "--all is every network at its usual size; leave it out, or --models,"
                    + " --batch and --size");
        List<Workload> work = workloads();
        Path home = Path.of(System.getProperty("isthmus.home", ""));
        Path script = home.resolve("bench/peer/torch_train.py");
        InputFiles.require(script, "PyTorch's side of the comparison");
        Optional<Path> jemalloc = PeerRuns.findJemalloc();
        if (jemalloc.isEmpty())
            terminal.note("note: no jemalloc was found, so PyTorch runs 1.2 to 2 times slower than its best; install it"
                    + " (Debian: apt-get install libjemalloc2)");
        Path logs = Files.createTempDirectory("isthmus-bench");
        var peers = new PeerRuns(python, script, jemalloc, logs, threads, cores.pinned(), steps);
        var table = new PeerTable();
        for (Workload w : work)
            compare(terminal, w, peers, table);
        PeerTable.Report report = table.report(LocalDate.now(ZoneOffset.UTC).toString(),
                jemalloc.isPresent() ? "jemalloc" : "the system's allocator", threads, runs, steps);
        write(terminal, report, out == null ? home.resolve("bench/results") : out);
        peers.forgetLogs();
    }

    private List<Workload> workloads() {
        List<Workload> all = new ArrayList<>();
        for (String model : models) {
            if (!ALL.contains(model))
                throw new CliException(Exit.USAGE, "--models: PyTorch's side has no " + model + "; it has " + ALL);
            Workload usual = Workload.usual(model, "amp");
            try {
                Workload w = new Workload(model, batch == null ? usual.batch() : batch, "amp",
                        size == null ? usual.size() : size, usual.channels(), usual.classes(), usual.optimizer());
                w.network();
                all.add(w);
            } catch (IllegalArgumentException e) {
                throw new CliException(Exit.USAGE, e.getMessage(), e);
            }
        }
        return all;
    }

    /** A B A B: whatever else the machine does meets both sides alike. */
    private void compare(Terminal terminal, Workload w, PeerRuns peers, PeerTable table) throws Exception {
        for (int i = 1; i <= runs; i++) {
            terminal.note(w.model() + ", run " + i + " of " + runs);
            table.add("torch", peers.torch(w, "bf16"));
            table.add("ours", peers.ours(w, "amp"));
            table.add("torch", peers.torch(w, "fp32"));
            table.add("ours", peers.ours(w, "fp32"));
        }
        PeerTable.Row row = table.close(w);
        terminal.print(String.format(Locale.ROOT,
                "%s, batch %d: PyTorch %.1f ms (%s), ours %.1f ms (%s): %.2fx; memory %.0f and %.0f MB", w.model(),
                w.batch(), row.torchBest().stepMs(), row.torchBest().dtype(), row.oursBest().stepMs(),
                row.oursBest().dtype(), row.speedup(), row.torchBest().peakRssMb(), row.oursBest().peakRssMb()));
    }

    private static void write(Terminal terminal, PeerTable.Report report, Path folder) throws Exception {
        String machine = (report.machine().model() + "-" + report.machine().cores() + "-cores").toLowerCase(Locale.ROOT)
                .replaceAll("[^a-z0-9]+", "-");
        Path json = folder.resolve(report.date() + "-" + machine + "-peers.json");
        JsonFile.write(json, report);
        Path markdown = folder.resolve(report.date() + "-" + machine + "-peers.md");
        Files.writeString(markdown, PeerTable.markdown(report));
        terminal.result(report);
        terminal.print(markdown + "\n" + json);
    }
}
