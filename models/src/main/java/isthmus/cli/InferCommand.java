package isthmus.cli;

import isthmus.agent.Finding;
import isthmus.agent.ImagingAgent;
import isthmus.data.DataException;
import isthmus.report.TextTable;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Reads images with an exported model. */
@picocli.CommandLine.Command(name = "infer", description = "Prints the findings that an exported model has for images, with"
        + " probabilities. For research only: no clinical claim.", footer = {"",
                "Example: isthmus infer best.onnx film1.jpg film2.png"})
final class InferCommand extends Command {
    @Parameters(index = "0", paramLabel = "MODEL", description = "An ONNX file that isthmus export wrote.")
    private Path model;

    @Parameters(index = "1..*", arity = "1..*", paramLabel = "IMAGE", description = "JPEG or PNG files.")
    private List<Path> images;

    @Mixin
    private Cores cores;

    /** One image: its findings, or why it could not be read. */
    record Read(String image, List<Finding> findings, String error) {}

    /** All images. */
    record Report(String model, String device, Map<String, String> provenance, List<Read> images) {}

    @Override
    void run(Terminal terminal) throws Exception {
        InputFiles.require(model, "a model in ONNX");
        List<Read> all = new ArrayList<>();
        try (ImagingAgent agent = ImagingAgent.open(model, cores.threads())) {
            agent.notice().ifPresent(terminal::note);
            for (Path image : images)
                all.add(read(terminal, agent, image));
            terminal.result(new Report(model.toString(), agent.device(), agent.card().provenance(), all));
        }
        var table = new TextTable(List.of("image", "finding", "probability"), 8);
        for (Read one : all)
            for (Finding f : one.findings)
                table.add(List.of(one.image, f.label(), String.format(Locale.ROOT, "%.3f", f.probability())));
        if (all.stream().anyMatch(r -> r.error == null)) terminal.print(table.text().stripTrailing());
        long bad = all.stream().filter(r -> r.error != null).count();
        if (bad > 0)
            throw new CliException(Exit.BAD_DATA, bad + " of " + all.size() + " images cannot be read; see above");
    }

    private static Read read(Terminal terminal, ImagingAgent agent, Path image) {
        try {
            return new Read(image.toString(), agent.infer(image), null);
        } catch (DataException e) {
            terminal.note("isthmus infer: " + e.getMessage());
            return new Read(image.toString(), List.of(), e.getMessage());
        }
    }
}
