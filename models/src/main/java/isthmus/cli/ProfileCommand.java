package isthmus.cli;

import isthmus.backend.Backend;
import isthmus.backend.Precision;
import isthmus.profile.ChromeTrace;
import isthmus.profile.Profile;
import isthmus.profile.Workload;
import isthmus.report.JsonFile;
import isthmus.report.TextTable;
import isthmus.task.Compute;
import isthmus.task.CoreLease;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Shows where the time of a training step goes. */
@picocli.CommandLine.Command(name = "profile", description = "Shows where the time of a training step goes: every native call with its"
        + " time, traffic, arithmetic, and its share of what this machine can do.", footer = {"",
                "Example: isthmus profile resnet34 --batch 32 --precision amp --chrome-trace step.json",
                "GB/s counts what a call must read and write at least. Roofline: the share of the bandwidth of a copy, or of",
                "the peak of a convolution, whichever binds; both are measured first. Over 100 %%: the data lay in caches."})
final class ProfileCommand extends Command {
    private static final int TOP = 25;

    @Parameters(paramLabel = "MODEL", description = "A network of the catalogue.")
    private String model;

    @Mixin
    private WorkloadOptions options;

    @Mixin
    private Cores cores;

    @Mixin
    private DeviceOption device = new DeviceOption();

    @Option(names = "--steps", paramLabel = "N", description = "Steps to take the median of. Default: 5.")
    private int steps = 5;

    @Option(names = "--all", description = "All calls in running order, not the longest only.")
    private boolean all;

    @Option(names = "--chrome-trace", paramLabel = "FILE", description = "Write a trace there for chrome://tracing or ui.perfetto.dev.")
    private Path traceFile;

    @Override
    void run(Terminal terminal) throws Exception {
        int threads = cores.threads();
        if (steps < 1) throw new CliException(Exit.USAGE, "--steps is " + steps + "; it is 1 or more");
        Workload work = options.of(model);
        Compute compute = device.with(threads);
        Profile.Result p;
        try (CoreLease lease = CoreLease.acquire(threads); Backend backend = compute.open()) {
            Notices.show(terminal, Precision.notes(work.precision(), backend));
            p = Profile.run(work, backend, threads, steps);
        }
        if (traceFile != null) JsonFile.write(traceFile, ChromeTrace.of(p));
        terminal.result(p);
        print(terminal, p);
    }

    private void print(Terminal terminal, Profile.Result p) {
        terminal.print(String.format(Locale.ROOT, "%s, batch %d, %s, edge %d, %d threads; %s", p.model(), p.batch(),
                p.dtype(), p.size(), p.threads(), p.machine()));
        terminal.print(String.format(Locale.ROOT,
                "copy %.1f GB/s, peak %.0f GFLOP/s in %s, %.0f in f32; a call takes %.2f us at least", p.copyGbPerS(),
                p.peakGflopPerS(), p.dtype(), p.peakF32GflopPerS(), p.hostUsPerCall()));
        terminal.print(String.format(Locale.ROOT,
                "arena %.1f MiB, weights, gradients and moments %.1f MiB; built in %.2f s, again in %.2f s",
                p.arenaMb(),
                p.weightsMb(), p.buildS(), p.buildAgainS()));
        terminal.print(String.format(Locale.ROOT,
                "step %.1f ms = %.1f images/s; %d calls take %.1f ms, move %.2f GB and compute %.1f GFLOP; host work %.3f ms,"
                        + " the step is %.2f times its calls%n",
                p.stepMs(), p.batch() * 1e3 / p.stepMs(), p.calls(), p.callsMs(), p.gbPerStep(), p.gflopPerStep(),
                p.hostMs(), p.overhead()));
        terminal.print(byOp(p.rows()));
        List<Profile.Row> shown = all
                ? p.rows()
                : p.rows().stream().sorted(Comparator.comparingDouble(Profile.Row::ms).reversed()).limit(TOP).toList();
        var table = new TextTable(List.of("call", "place", "implementation", "shapes", "ms", "share", "GB/s", "GFLOP/s",
                "roofline"), 4, 4);
        for (Profile.Row r : shown)
            table.add(List.of(r.op(), r.label(), r.implementation(), r.shapes(), number(r.ms(), 3),
                    number(100 * r.share(), 1) + " %", number(r.gbPerS(), 1), number(r.gflopPerS(), 0),
                    number(100 * r.roofline(), 0) + " %"));
        terminal.print(table.text().stripTrailing());
        if (!all && p.rows().size() > TOP)
            terminal.print("and " + (p.rows().size() - TOP) + " shorter calls; --all shows them in running order");
    }

    /** Sums by op, longest first. */
    private static String byOp(List<Profile.Row> rows) {
        var table = new TextTable(List.of("op", "calls", "ms", "share", "GB/s", "GFLOP/s", "roofline"), 4);
        rows.stream().collect(Collectors.groupingBy(Profile.Row::op)).entrySet().stream()
                .sorted(Comparator.comparingDouble(e -> -e.getValue().stream().mapToDouble(Profile.Row::ms).sum()))
                .forEach(e -> {
                    List<Profile.Row> of = e.getValue();
                    double ms = of.stream().mapToDouble(Profile.Row::ms).sum();
                    double least = of.stream().mapToDouble(r -> r.ms() * r.roofline()).sum();
                    table.add(List.of(e.getKey(), Integer.toString(of.size()), number(ms, 2),
                            number(100 * of.stream().mapToDouble(Profile.Row::share).sum(), 1) + " %",
                            number(of.stream().mapToLong(Profile.Row::bytes).sum() / ms / 1e6, 1),
                            number(of.stream().mapToLong(Profile.Row::flops).sum() / ms / 1e6, 0),
                            number(100 * least / ms, 0) + " %"));
                });
        return table.text();
    }

    private static String number(double x, int digits) { return String.format(Locale.ROOT, "%." + digits + "f", x); }
}
