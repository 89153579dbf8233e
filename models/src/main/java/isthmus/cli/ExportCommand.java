package isthmus.cli;

import isthmus.onnx.OnnxExporter;
import isthmus.task.Recipe;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Option;

/** Writes a model as ONNX. */
@picocli.CommandLine.Command(name = "export", description = "Writes a model (safetensors) as ONNX, with labels, preprocessing and"
        + " provenance in its metadata; with --check, proves on films that ONNX Runtime answers as training does.", footer = {
                "",
                "Example: isthmus export --model best.safetensors --out best.onnx --check films/val.csv"})
final class ExportCommand extends Command {
    @Option(names = "--model", required = true, paramLabel = "FILE", description = "Weights from isthmus train or a federation.")
    private Path model;

    @Option(names = "--out", paramLabel = "FILE", description = "The ONNX file. Default: the model's name with .onnx.")
    private Path out;

    @Option(names = "--check", arity = "1..*", paramLabel = "CSV", description = "Films to compare both engines on.")
    private List<Path> check = List.of();

    @Option(names = "--threads", description = "Cores to compute with. Default: all.")
    private int threads = Runtime.getRuntime().availableProcessors();

    /** What was written. */
    record Report(String onnx, int opset, List<String> labels, Integer imagesChecked, Double onnxMaxAbsDiff,
            Double onnxMaxLogitDiff) {}

    @Override
    void run(Terminal terminal) throws Exception {
        InputFiles.require(model, "a model in safetensors");
        for (Path table : check)
            InputFiles.require(table, "a CSV of films");
        Path file = out == null ? sibling() : out;
        Recipe recipe = OnnxFile.write(model, file);
        OnnxFile.Check checked = check.isEmpty() ? null : OnnxFile.check(model, file, check, threads);
        terminal.result(new Report(file.toString(), OnnxExporter.OPSET, recipe.labels(),
                checked == null ? null : checked.images(),
                checked == null ? null : checked.maxAbsDiff(), checked == null ? null : checked.maxLogitDiff()));
        terminal.print(file + ": ONNX opset " + OnnxExporter.OPSET + ", outputs " + String.join(", ", recipe.labels()));
        if (checked == null) return;
        if (!checked.agrees())
            throw new CliException(Exit.FAILED,
                    file + ": ONNX Runtime and training disagree: " + checked.figures() + "; do not use this file");
        terminal.print("ONNX Runtime agrees with training: " + checked.figures());
    }

    private Path sibling() {
        String name = model.getFileName().toString();
        return model.resolveSibling(name.replaceFirst("\\.safetensors$", "") + ".onnx");
    }
}
