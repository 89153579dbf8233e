package isthmus.cli;

import isthmus.report.JsonFile;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import picocli.CommandLine.Option;

/** The whole path on one machine. */
@picocli.CommandLine.Command(name = "demo", description = "Three hospitals train one model on real chest films, on this machine: makes"
        + " certificates, starts a server and three sites as processes of their own, trains, compares with each hospital alone, exports to"
        + " ONNX and reads a film. Takes some minutes; nothing leaves the machine.", footer = {"",
                "Example: isthmus demo",
                "         isthmus demo --short --report demo.json"})
final class DemoCommand extends Command {
    private static final int ROUNDS = 48;
    private static final int SHORT_ROUNDS = 2;

    @Option(names = "--report", paramLabel = "FILE", description = "Write the figures there as JSON, too.")
    private Path report;

    @Option(names = "--dir", paramLabel = "DIR", description = "New folder for all that the run makes. Default: out/demo-TIME.")
    private Path dir;

    @Option(names = "--rounds", description = "Rounds of the federation. Default: " + ROUNDS + ".")
    private Integer rounds;

    @picocli.CommandLine.Mixin
    private DeviceOption device = new DeviceOption();

    @Option(names = "--short", description = "Only " + SHORT_ROUNDS
            + " rounds: shows that all parts work, not that a model learns.")
    private boolean shortRun;

    @Option(names = "--data", paramLabel = "DIR", description = "Folder with a folder a hospital, each with train.csv and val.csv."
            + " Default: the bundled sample.")
    private Path data;

    @Override
    void run(Terminal terminal) throws Exception {
        int count = rounds != null ? rounds : shortRun ? SHORT_ROUNDS : ROUNDS;
        if (count < 1) throw new CliException(Exit.USAGE, "--rounds is " + count + "; it is 1 or more");
        List<Hospital> hospitals = Hospital.in(data == null ? Hospital.sample() : data);
        Path folder = RunFolder.make(dir, "demo").toAbsolutePath().normalize();
        Logs.toFile(folder.resolve("demo.log"));
        var running = new AtomicBoolean(true);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            if (running.get()) terminal.note("isthmus demo: stopped; what was made so far is in " + folder);
        }, "farewell"));
        DemoReport result;
        try {
            result = new Demo(terminal, folder, hospitals, count,
                    device.with(Runtime.getRuntime().availableProcessors())).run();
        } finally {
            running.set(false);
        }
        JsonFile.write(folder.resolve("report.json"), result);
        if (report != null) JsonFile.write(report, result);
        terminal.result(result);
    }
}
