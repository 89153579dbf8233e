package isthmus.cli;

import isthmus.report.JsonFile;
import isthmus.report.TextTable;
import isthmus.task.Evaluation;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Measures saved weights on labelled films. */
@picocli.CommandLine.Command(name = "evaluate", description = "Measures a model (safetensors) on labelled films: AUROC of each label.", footer = {
        "", "Example: isthmus evaluate --model best.safetensors --data films/val.csv --report result.json",
        "The report holds images, auroc (a value a label, and mean) and seconds."})
final class EvaluateCommand extends Command {
    @Option(names = "--model", required = true, paramLabel = "FILE", description = "Weights from isthmus train or a federation.")
    private Path model;

    @Option(names = "--data", required = true, arity = "1..*", paramLabel = "CSV", description = "Tables of films; several are pooled.")
    private List<Path> data;

    @Option(names = "--report", paramLabel = "FILE", description = "Write the result there as JSON.")
    private Path report;

    @Mixin
    private Cores cores;

    /** What came out. */
    record Report(int images, Map<String, Double> auroc, double loss, double seconds) {}

    @Override
    void run(Terminal terminal) throws Exception {
        InputFiles.require(model, "a model in safetensors");
        for (Path table : data)
            InputFiles.require(table, "a CSV of films");
        Evaluation.Result result = Evaluation.run(model, data, cores.threads());
        Notices.show(terminal, result.warnings());
        Report written = new Report(result.images(), Scores.auroc(result.recipe(), result.metrics()),
                result.metrics().get("loss"),
                result.seconds());
        if (report != null) JsonFile.write(report, written);
        terminal.result(written);
        var table = new TextTable(List.of("label", "AUROC"), 8);
        written.auroc.forEach((label, value) -> table.add(List.of(label, Scores.text(value))));
        terminal.print(table.text() + String.format(Locale.ROOT, "%d films, loss %.3f, %.1f s", written.images,
                written.loss, written.seconds));
    }
}
