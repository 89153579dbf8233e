package isthmus.bench;

import isthmus.report.JsonFile;
import isthmus.task.CoreLease;
import java.io.IOException;
import java.nio.file.Path;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.ChainedOptionsBuilder;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;
import org.openjdk.jmh.runner.options.VerboseMode;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Times what is bound by memory, each beside a copy of the same run: optimizers, norms, casts, folding, loader. */
@Command(name = "bench/kernels", sortOptions = false, description = "Times what is bound by memory: optimizers, norms, casts, folding,"
        + " loader. Each is shown as a share of what a copy moves on this machine in the same run.", footer = {"",
                "Example: bench/kernels --json kernels.json Norm Optimizer"})
public final class KernelBenchmarks implements Callable<Integer> {
    @Parameters(arity = "0..*", paramLabel = "PATTERN", description = "Only benchmarks whose name contains one of these, as in Norm or"
            + " Optimizer.adamw. Default: all.")
    private List<String> patterns = List.of();

    @Option(names = "--json", paramLabel = "FILE", description = "Write the results there.")
    private Path json;

    @Option(names = "--threads", paramLabel = "N", description = "Cores to compute with. Default: all.")
    private int threads = Runtime.getRuntime().availableProcessors();

    @Option(names = "--films", paramLabel = "CSV", description = "Films for the loader's benchmarks. Default: the sample.")
    private Path films = sample();

    @Option(names = "--label", paramLabel = "NAME", description = "A column of that table. Default: Pneumonia.")
    private String label = "Pneumonia";

    @Option(names = "--seconds", paramLabel = "S", description = "Length of each of three measurements. Default: 1.")
    private double seconds = 1;

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Show this help.")
    @SuppressWarnings("UnusedVariable") // picocli acts on it
    private boolean help;

    /** In this process instead of one a benchmark. */
    private final boolean inProcess;

    private KernelBenchmarks(boolean inProcess) { this.inProcess = inProcess; }

    /** Runs and ends the process. */
    public static void main(String[] args) { System.exit(execute(false, args)); }

    /** Runs; {@code inProcess} is for tests, since a benchmark's neighbours change what the compiler makes of it. */
    static int execute(boolean inProcess, String... args) {
        return new CommandLine(new KernelBenchmarks(inProcess)).execute(args);
    }

    private static Path sample() {
        Path home = Path.of(System.getProperty("isthmus.home", ""));
        return home.resolve("models/src/main/sample/cxr/site_a/train.csv").toAbsolutePath();
    }

    @Override
    public Integer call() throws IOException, RunnerException {
        try (CoreLease lease = CoreLease.acquire(threads)) {
            Collection<RunResult> results = new Runner(options()).run();
            KernelReport report = KernelReport.of(LocalDate.now(ZoneOffset.UTC).toString(), threads, results);
            System.out.println("\n" + report.text());
            if (json != null) JsonFile.write(json, report);
        }
        return 0;
    }

    private org.openjdk.jmh.runner.options.Options options() {
        Map<String, String> properties = Map.of(Cpu.THREADS, Integer.toString(threads), LoaderBenchmark.FILMS,
                films.toAbsolutePath().toString(), LoaderBenchmark.LABEL, label);
        ChainedOptionsBuilder options = new OptionsBuilder().include("^isthmus\\.bench\\.CopyBenchmark\\.").forks(1)
                .mode(Mode.Throughput).warmupIterations(1).measurementIterations(3)
                .warmupTime(TimeValue.milliseconds((long) (1e3 * seconds)))
                .measurementTime(TimeValue.milliseconds((long) (1e3 * seconds))).shouldFailOnError(true)
                .jvmArgsAppend(properties.entrySet().stream().map(e -> "-D" + e.getKey() + "=" + e.getValue())
                        .toArray(String[]::new))
                .verbosity(VerboseMode.NORMAL);
        if (patterns.isEmpty()) options.include("^isthmus\\.bench\\.");
        for (String pattern : patterns)
            options.include(java.util.regex.Pattern.quote(pattern));
        if (inProcess) {
            properties.forEach(System::setProperty);
            options.forks(0).verbosity(VerboseMode.SILENT);
        }
        return options.build();
    }
}
