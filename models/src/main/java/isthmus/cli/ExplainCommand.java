package isthmus.cli;

import isthmus.backend.Backend;
import isthmus.backend.Precision;
import isthmus.backend.ReferenceBackend;
import isthmus.profile.Ceiling;
import isthmus.profile.Explanation;
import isthmus.profile.Workload;
import isthmus.report.TextTable;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Prints the plan of a training step without running it. */
@picocli.CommandLine.Command(name = "explain", description = "Prints the plan of a training step without running it: memory, traffic,"
        + " arithmetic, and the least time that they allow on a device.", footer = {"",
                "Example: isthmus explain densenet121 --batch 256 --device cuda-emulated --json",
                "The floor is the sum over kernels of the more of bytes / bandwidth and operations / peak. Levels: what is moved",
                "if ops run one by one (A), in fused passes (B), fused into convolutions (C)."})
final class ExplainCommand extends Command {
    private static final String PLAIN = "none";

    @Parameters(paramLabel = "MODEL", description = "A network of the catalogue.")
    private String model;

    @Mixin
    private WorkloadOptions options;

    @Option(names = "--device", paramLabel = "DEVICE", defaultValue = "cpu", description = "Whose plan: cpu, cuda, cuda:N,"
            + " cuda-emulated (the GPU's plan without one), or none: ours without any library's scratch memory. Default: cpu.")
    private String device;

    @Option(names = "--bandwidth", paramLabel = "TB/S", description = "Of the memory, for the floor. Default: an H200's 4.3.")
    private Double bandwidth;

    @Option(names = "--peak", paramLabel = "TFLOP/S", description = "Of half-precision products, for the floor. Default: an"
            + " H200's 790.")
    private Double peak;

    @Option(names = "--all", description = "All calls in running order, not the sums by op only.")
    private boolean all;

    @Override
    void run(Terminal terminal) {
        Workload work = options.of(model);
        Ceiling ceiling = ceiling();
        try (Backend backend = open()) {
            Notices.show(terminal, Precision.notes(work.precision(), backend));
            Explanation e = Explanation.of(work, device, backend, ceiling);
            terminal.result(e);
            print(terminal, e);
        }
    }

    private Backend open() {
        if (device.equals(PLAIN)) return new ReferenceBackend();
        return DeviceOption.named(device,
                device.startsWith("cuda:") || device.equals("cuda")
                        ? "to plan without a GPU, use --device cuda-emulated, or none"
                        : "use --device none")
                .with(1).open();
    }

    private Ceiling ceiling() {
        if (bandwidth == null && peak == null) return Ceiling.H200;
        try {
            return new Ceiling(bandwidth == null ? Ceiling.H200.bytesPerSecond() : bandwidth * 1e12,
                    peak == null ? Ceiling.H200.matrixFlopsPerSecond() : peak * 1e12,
                    Ceiling.H200.vectorFlopsPerSecond(),
                    "as given; what was not is an H200's");
        } catch (IllegalArgumentException e) {
            throw new CliException(Exit.USAGE, "--bandwidth, --peak: " + e.getMessage(), e);
        }
    }

    private void print(Terminal terminal, Explanation e) {
        terminal.print(String.format(Locale.ROOT, "%s, batch %d, %s, edge %d, planned for %s: %,d parameters, %d calls",
                e.model(), e.batch(), e.dtype(), e.size(), e.device().equals(PLAIN) ? "no device" : e.device(),
                e.parameters(), e.calls()));
        terminal.print(String.format(Locale.ROOT,
                "memory: arena %.3f GB, weights, gradients and moments %.3f GB", e.arenaBytes() / 1e9,
                e.weightBytes() / 1e9));
        terminal.print(String.format(Locale.ROOT,
                "step: %.3f GB moved and %.3f GB by the update, %.1f GFLOP; a sample: %.1f MB, %.2f GFLOP",
                e.bytes() / 1e9,
                e.updateBytes() / 1e9, e.flops() / 1e9, e.perSample().megabytes(), e.perSample().gflop()));
        terminal.print(String.format(Locale.ROOT, "floor: %.3f ms, %,.0f samples/s on %s%n", 1e3 * e.floor().seconds(),
                e.floor().samplesPerSecond(), e.floor().ceiling().source()));
        terminal.print(levels(e));
        terminal.print(ops(e));
        if (all) terminal.print(calls(e));
    }

    private static String levels(Explanation e) {
        var table = new TextTable(List.of("level", "MB a sample", "samples/s at most", "published MB", "published"), 4);
        for (Explanation.LevelRow l : e.levels())
            table.add(List.of(l.level() + " " + l.means(), number(l.megabytesPerSample(), 1),
                    number(l.samplesPerSecond(), 0), published(l.publishedMegabytesPerSample()),
                    published(l.publishedSamplesPerSecond())));
        table.add(List.of("this plan", number(e.perSample().megabytes(), 1), number(e.floor().samplesPerSecond(), 0),
                "", ""));
        return table.text();
    }

    private static String published(double x) { return x == 0 ? "-" : number(x, 0); }

    private static String ops(Explanation e) {
        var table = new TextTable(List.of("op", "calls", "MB", "GFLOP", "floor ms", "share"), 4);
        for (Explanation.OpRow r : e.ops())
            table.add(
                    List.of(r.op(), Integer.toString(r.calls()), number(r.bytes() / 1e6, 1), number(r.flops() / 1e9, 1),
                            number(r.floorMs(), 3), number(100 * r.share(), 1) + " %"));
        return table.text();
    }

    private static String calls(Explanation e) {
        var table = new TextTable(List.of("call", "place", "implementation", "shapes", "MB", "GFLOP", "floor us"), 4,
                4);
        for (Explanation.CallRow r : e.rows())
            table.add(List.of(r.op(), r.label(), r.implementation(), r.shapes(), number(r.bytes() / 1e6, 2),
                    number(r.flops() / 1e9, 2), number(r.floorUs(), 1)));
        return table.text();
    }

    private static String number(double x, int digits) { return String.format(Locale.ROOT, "%." + digits + "f", x); }
}
