package isthmus.cli;

import isthmus.report.JsonFile;
import isthmus.tensor.Safetensors;
import isthmus.weights.Checkpoint;
import isthmus.weights.ImportReport;
import isthmus.weights.WeightImport;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.function.Function;
import java.util.stream.Collectors;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Makes weights of ours of another program's checkpoint. */
@picocli.CommandLine.Command(name = "import", description = "Brings weights that others trained into a model of the catalogue: PyTorch"
        + " (.pth, .pt), safetensors or ONNX. Nothing in the file is run, only tensors are built. The first convolution is fitted to"
        + " 1 or 3 channels, a classifier of another size starts anew, and it says so; a checkpoint of another model is refused"
        + " with the first differences.", footer = {"",
                "Example: isthmus import --model resnet34 resnet34-b627a593.pth --channels 1 --labels Pneumonia --out start.safetensors",
                "Then: isthmus train --start start.safetensors ..."})
final class ImportCommand extends Command {
    private static final int SHOWN = 4;

    @Parameters(index = "0", paramLabel = "FILE", description = "The checkpoint.")
    private Path file;

    @Option(names = "--model", required = true, paramLabel = "NAME", description = "The network in the catalogue.")
    private String model;

    @Option(names = "--out", required = true, paramLabel = "FILE", description = "The safetensors file to write.")
    private Path out;

    @Mixin
    private ModelChoice choice;

    @Option(names = "--seed", description = "Seed of the initial values of what the checkpoint has not. Default: 1.")
    private long seed = 1;

    @Option(names = "--report", paramLabel = "FILE", description = "Write the result there as JSON, too.")
    private Path reportFile;

    /** What came of it; {@code labels} only where they were named. */
    record Report(String model, String file, String format, String image, int classes, List<String> labels,
            long parameters,
            ImportReport weights, String out) {}

    @Override
    void run(Terminal terminal) throws Exception {
        ModelChoice.known(model);
        InputFiles.require(file, "a checkpoint");
        if (Files.exists(out) && Files.isSameFile(file, out))
            throw new CliException(Exit.USAGE, "--out is the checkpoint itself; name another file");
        try (Arena arena = Arena.ofShared()) {
            Checkpoint checkpoint = Checkpoint.open(file, arena);
            var request = new WeightImport.Request(model, choice.options(), choice.size(checkpoint.axes()),
                    choice.channels(), choice.classes(), seed);
            WeightImport.Imported imported = WeightImport.run(checkpoint, request, arena);
            Report report = write(checkpoint, imported);
            if (reportFile != null) JsonFile.write(reportFile, report);
            terminal.result(report);
            print(terminal, report);
        }
    }

    private Report write(Checkpoint checkpoint, WeightImport.Imported imported) throws IOException {
        List<String> labels = choice.labels(imported.classes());
        Safetensors.write(out, imported.weights(), ModelFacts.metadata(imported.model(), choice.options(), labels,
                file.getFileName().toString(), checkpoint));
        return new Report(model, file.toString(), checkpoint.format(), imported.model().image().toString(),
                imported.classes(),
                labels,
                imported.model().table().elements(), imported.report(), out.toString());
    }

    private static void print(Terminal terminal, Report r) {
        ImportReport w = r.weights;
        terminal.print(r.file + ": " + r.format);
        w.notes().forEach(note -> terminal.print("  " + note));
        terminal.print("  matched " + w.matched() + " tensors"
                + (w.ignored() == 0 ? "" : ", passed over " + w.ignored() + " counters of batches"));
        for (ImportReport.Adapted a : w.adapted())
            terminal.print("  adapted " + a.name() + " " + a.from() + " -> " + a.to() + ", " + a.how());
        terminal.print(line("dropped", w.dropped(), d -> d.name() + " " + d.shape() + ", " + d.why()));
        terminal.print(line("anew", w.missing(), m -> m.name() + " " + m.shape() + ", " + m.why()));
        terminal.print(
                String.format(Locale.ROOT, "%s: %s, image %s, %d classes, %,d parameters", r.out, r.model, r.image,
                        r.classes, r.parameters));
    }

    private static <T> String line(String what, List<T> all, Function<T, String> text) {
        if (all.isEmpty()) return "  " + what + ": nothing";
        String more = all.size() <= SHOWN ? "" : "; and " + (all.size() - SHOWN) + " more (--json has all)";
        return "  " + what + ": " + all.stream().limit(SHOWN).map(text).collect(Collectors.joining("; ")) + more;
    }
}
