package isthmus.bench.gpu;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Proves and measures a GPU. */
@Command(name = "check.sh", description = "Checks results on a GPU, measures training beside PyTorch, and writes gpu.json and"
        + " gpu.md as results come.", footer = {"",
                "Example: check.sh --out gpu-check --minutes 9",
                "Ends with 1 if a part failed or was cut; parts that this machine cannot run do not count."})
public final class GpuCheck implements Callable<Integer> {
    /** The device whose sizes are tiny: it proves this check, and measures nothing. */
    static final String EMULATED = "cuda-emulated";

    private static final double RESERVE_SECONDS = 3;

    @Option(names = "--out", required = true, paramLabel = "DIR", description = "Where gpu.json, gpu.md and log.txt go.")
    private Path out;

    @Option(names = "--minutes", defaultValue = "9", paramLabel = "M", description = "When to be done. Default: 9.")
    private double minutes;

    @Option(names = "--device", defaultValue = "cuda", paramLabel = "DEVICE", description = "cuda, cuda:N, or cuda-emulated for a"
            + " try with tiny sizes. Default: cuda.")
    private String device;

    @Option(names = "--python", defaultValue = "python3", paramLabel = "FILE", description = "A Python that has PyTorch."
            + " Default: python3.")
    private String python;

    @Option(names = "--only", split = ",", paramLabel = "PART", description = "These parts, or those whose names begin so.")
    private List<String> only = List.of();

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Show this help.")
    @SuppressWarnings("UnusedVariable") // picocli acts on it
    private boolean help;

    private GpuCheck() {}

    /** Runs the check and ends the process with its code. */
    public static void main(String[] args) {
        var line = new CommandLine(new GpuCheck());
        line.setExecutionExceptionHandler((e, at, parsed) -> {
            at.getErr().println("check.sh: " + e.getMessage());
            return 2;
        });
        System.exit(line.execute(args));
    }

    @Override
    public Integer call() throws IOException, InterruptedException {
        List<Part> parts = new Parts(device, python, out.toAbsolutePath(), Bundle.here()).all().stream()
                .filter(p -> only.isEmpty() || only.stream().anyMatch(p.name()::startsWith)).toList();
        if (parts.isEmpty()) throw new IllegalArgumentException("--only " + only + ": no part is called so");
        if (!(minutes > 0)) throw new IllegalArgumentException("--minutes is " + minutes + "; it is more than 0");
        var report = new GpuReport(out, device, minutes, parts);
        Path log = out.resolve("log.txt");
        Files.deleteIfExists(log);
        boolean usable = true;
        for (Part part : parts) {
            if (!usable && Parts.needsDevice(part))
                report.set(part, GpuReport.Status.NOT_RUN, 0, device + " cannot be used, see " + Parts.VERSIONS);
            else
                run(part, report, log);
            GpuReport.Row row = report.row(part);
            say(row);
            if (part.name().equals(Parts.VERSIONS)) usable = problems(row).isEmpty();
        }
        report.finish();
        System.err.printf(Locale.ROOT, "%.0f s; %s%n", report.seconds(), out.resolve("gpu.md"));
        return report.isGood() ? 0 : 1;
    }

    private void run(Part part, GpuReport report, Path log) throws IOException, InterruptedException {
        double left = 60 * minutes - RESERVE_SECONDS - report.seconds();
        if (part.impossible().isPresent()) report.set(part, GpuReport.Status.NOT_RUN, 0, part.impossible().get());
        else if (left < part.least())
            report.set(part, GpuReport.Status.NOT_RUN, 0,
                    String.format(Locale.ROOT, "no time: %.0f s were left, it wants %d", Math.max(0, left),
                            part.least()));
        else
            new PartRun(part, report, log).run(Math.min(left, part.most()));
    }

    private static List<String> problems(GpuReport.Row versions) {
        List<String> all = new ArrayList<>();
        versions.results().forEach(r -> r.path("problems").forEach(p -> all.add(p.asString())));
        return all;
    }

    private static void say(GpuReport.Row row) {
        System.err.printf(Locale.ROOT, "%-28s %-8s %6.1f s  %s%n", row.name(),
                row.status().name().toLowerCase(Locale.ROOT).replace('_', ' '), row.seconds(),
                row.words().isEmpty() ? GpuMarkdown.inShort(row) : row.words());
        for (String problem : problems(row))
            System.err.println("  " + problem);
    }
}
