package isthmus.cli;

import isthmus.backend.Backend;
import isthmus.backend.Precision;
import isthmus.profile.StepBenchmark;
import isthmus.profile.Workload;
import isthmus.report.JsonFile;
import isthmus.task.Compute;
import isthmus.task.CoreLease;
import java.nio.file.Path;
import java.util.Locale;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Times our own training step. */
@picocli.CommandLine.Command(name = "train", description = "Times whole training steps (forward, loss, backward, optimizer) on made-up"
        + " data in memory.", footer = {"",
                "Example: isthmus bench train --model resnet34 --batch 32 --precision amp --steps 10 --report step.json"})
final class BenchTrainCommand extends Command {
    @Option(names = "--model", required = true, paramLabel = "NAME", description = "A network of the catalogue.")
    private String model;

    @Mixin
    private WorkloadOptions options;

    @Mixin
    private Cores cores;

    @Mixin
    private DeviceOption device = new DeviceOption();

    @Option(names = "--steps", paramLabel = "N", description = "Steps to time. Default: 10.")
    private int steps = 10;

    @Option(names = "--warmup", paramLabel = "N", description = "Steps before that. Default: 3.")
    private int warmUp = 3;

    @Option(names = "--report", paramLabel = "FILE", description = "Write the result there as JSON, too.")
    private Path report;

    @Override
    void run(Terminal terminal) throws Exception {
        int threads = cores.threads();
        if (steps < 1 || warmUp < 1)
            throw new CliException(Exit.USAGE, "--steps is " + steps + ", --warmup " + warmUp + "; each is 1 or more");
        Workload work = options.of(model);
        Compute compute = device.with(threads);
        StepBenchmark.Result r;
        try (CoreLease lease = CoreLease.acquire(threads); Backend backend = compute.open()) {
            Notices.show(terminal, Precision.notes(work.precision(), backend));
            r = StepBenchmark.run(work, backend, threads, warmUp, steps);
        }
        if (report != null) JsonFile.write(report, r);
        terminal.result(r);
        terminal.print(String.format(Locale.ROOT,
                "%s, batch %d, %s, %d threads: %.1f images/s, %.1f ms a step (%.1f to %.1f over %d steps)", r.model(),
                r.batch(), r.dtype(), threads, r.imagesPerS(), r.stepMs(), r.stepMsMin(), r.stepMsMax(), r.steps()));
        terminal.print(String.format(Locale.ROOT,
                "first step after %.2f s, %.2f s of it to build the program; %.0f MB at most, %.0f MB of it the arena; "
                        + "%.0f bytes of Java heap a step; loss %.4f",
                r.firstStepS(), r.buildS(), r.peakRssMb(), r.arenaMb(), r.heapBytesPerStep(), r.finalLoss()));
    }
}
