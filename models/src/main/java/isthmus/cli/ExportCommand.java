package isthmus.cli;

import isthmus.nn.Model;
import isthmus.onnx.OnnxExporter;
import isthmus.onnx.OnnxFacts;
import isthmus.task.Recipe;
import isthmus.tensor.DType;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Writes a model as ONNX, and proves that ONNX Runtime answers as our own engine does. */
@picocli.CommandLine.Command(name = "export", description = "Writes a model as ONNX, with labels, preprocessing and provenance in its"
        + " metadata, and proves on seeded pictures, or on films with --check, that ONNX Runtime answers as training does. With"
        + " --precision fp16, weights and computing are in half precision where that is safe, inputs and outputs stay float32, and"
        + " the difference is measured. Weights may come from a training, a federation, isthmus import, or another program.", footer = {
                "", "Example: isthmus export --weights best.safetensors --out best.onnx --check films/val.csv",
                "Example: isthmus export --model resnet34 --weights start.safetensors --precision fp16 --out net.onnx"})
final class ExportCommand extends Command {
    enum Precision {
        FP32(DType.F32), FP16(DType.F16);

        private final DType type;

        Precision(DType type) { this.type = type; }
    }

    enum Decision {
        SIGMOID, SOFTMAX
    }

    @Option(names = "--model", paramLabel = "NAME", description = "The network, where the weights do not say it themselves."
            + " Without --weights: the weights' file.")
    private String model;

    @Option(names = "--weights", paramLabel = "FILE", description = "The weights: safetensors, or what isthmus import reads.")
    private Path weights;

    @Option(names = "--out", paramLabel = "FILE", description = "The ONNX file. Default: the weights' name with .onnx.")
    private Path out;

    @Option(names = "--precision", description = "fp32 or fp16. Default: fp32.")
    private Precision precision = Precision.FP32;

    @Option(names = "--decision", description = "How logits become probabilities: sigmoid or softmax. Default: as trained; of"
            + " other weights sigmoid, of maps softmax.")
    private Decision decision;

    @Option(names = "--recipe", paramLabel = "FILE", description = "A recipe that names labels and preprocessing, for weights that"
            + " came by import.")
    private Path recipeFile;

    @Mixin
    private ModelChoice choice;

    @Option(names = "--check", arity = "1..*", paramLabel = "CSV", description = "Films to compare on; the weights must come from a"
            + " training or a federation.")
    private List<Path> check = List.of();

    @Option(names = "--images", paramLabel = "N", description = "Seeded pictures to compare on. Default: 4, of volumes 2.")
    private Integer images;

    @Mixin
    private Cores cores;

    /** What fp16 changes, beside fp32 on the same images. */
    record Half(int images, double maxLogitDiff, double maxProbabilityDiff, Double changedDecisions) {}

    /** What was written; {@code onnx_max_abs_diff} is of probabilities, both in float32. */
    record Report(String onnx, String model, String image, int opset, String precision, long bytes, long parameters,
            String decision, List<String> labels, int imagesChecked, double onnxMaxAbsDiff, double onnxMaxLogitDiff,
            double onnxMaxRelativeLogitDiff, Half fp16) {}

    @Override
    void run(Terminal terminal) throws Exception {
        Path file = weightsFile();
        InputFiles.require(file, "weights");
        for (Path table : check)
            InputFiles.require(table, "a CSV of films");
        Path target = out == null ? sibling(file) : out;
        if (Files.exists(target) && Files.isSameFile(file, target))
            throw new CliException(Exit.USAGE, "--out is the weights' own file; name another");
        try (Arena arena = Arena.ofShared()) {
            Exportable what = read(file, arena);
            if (!check.isEmpty() && !what.trained())
                throw new CliException(Exit.USAGE,
                        "--check needs weights from a training or a federation, which say how films "
                                + "are read; without it, seeded pictures are compared");
            Report report = write(file, what, target);
            terminal.result(report);
            print(terminal, report);
        }
    }

    /** {@code --model FILE} alone is how trained weights are exported, too: they say themselves which network they are. */
    private Path weightsFile() {
        if (weights != null) {
            if (model != null) ModelChoice.known(model);
            return weights;
        }
        if (model == null) throw new CliException(Exit.USAGE, "name the weights: --weights FILE");
        Path file = Path.of(model);
        if (!Files.exists(file) && !model.contains(".") && !model.contains("/")) {
            ModelChoice.known(model);
            throw new CliException(Exit.USAGE, "name the weights: --weights FILE");
        }
        model = null;
        return file;
    }

    private Exportable read(Path file, Arena arena) throws IOException {
        Map<String, String> metadata = Exportable.metadata(file);
        if (metadata.containsKey(Recipe.METADATA)) {
            Recipe recipe = RecipeOption.parse(metadata.get(Recipe.METADATA), file + ": its recipe");
            if (model != null && !model.equals(recipe.model()))
                throw new CliException(Exit.USAGE, "--model is " + model + ", but " + file + " holds weights of "
                        + recipe.model());
            if (!choice.isEmpty() || recipeFile != null || decision != null)
                throw new CliException(Exit.USAGE, file + " carries the recipe that made it, with sizes, labels and "
                        + "preprocessing; leave out --size, --channels, --classes, --labels, --set, --decision and --recipe");
            return Exportable.trained(file, recipe, arena);
        }
        Recipe recipe = recipeFile == null ? null : RecipeOption.read(recipeFile);
        return Exportable.plain(file, new ModelFacts(file.toString(), model, choice, recipe, metadata),
                decision == null ? null : OnnxFacts.Decision.valueOf(decision.name()), arena);
    }

    /** The file takes its name only once it has been compared. */
    private Report write(Path file, Exportable what, Path target) throws IOException {
        Path folder = target.toAbsolutePath().getParent();
        Files.createDirectories(folder);
        Path single = Files.createTempFile(folder, target.getFileName().toString(), ".fp32");
        Path fresh = Files.createTempFile(folder, target.getFileName().toString(), ".part");
        try (ExportCheck checking = new ExportCheck(file, what, check, images(what.model()), cores.threads())) {
            OnnxExporter.write(single, what.model(), what.weights(), what.facts());
            Agreement.Figures figures = checking.of(single);
            if (!figures.agrees(OnnxFile.TOLERANCE))
                throw new CliException(Exit.FAILED, target + ": ONNX Runtime and training disagree: "
                        + ExportCheck.text(figures) + "; nothing was written");
            Half half = null;
            if (precision == Precision.FP16) {
                OnnxExporter.write(fresh, what.model(), what.weights(), what.facts(), precision.type);
                half = half(checking.of(fresh), target);
            }
            OnnxFile.move(precision == Precision.FP16 ? fresh : single, target);
            return report(what, target, figures, half);
        } finally {
            Files.deleteIfExists(single);
            Files.deleteIfExists(fresh);
        }
    }

    private static Half half(Agreement.Figures f, Path target) {
        if (Double.isInfinite(f.maxLogitDiff()))
            throw new CliException(Exit.FAILED,
                    target + ": in fp16 some results are no numbers: values leave the range of half "
                            + "precision; export with --precision fp32. Nothing was written");
        return new Half(f.images(), f.maxLogitDiff(), f.maxProbabilityDiff(),
                Double.isNaN(f.changedDecisions()) ? null : f.changedDecisions());
    }

    private int images(Model of) {
        if (images == null) return of.image().rank() == 3 ? 4 : 2;
        if (images < 1 || images > 64)
            throw new CliException(Exit.USAGE, "--images is " + images + "; it is 1 to 64");
        return images;
    }

    private Report report(Exportable what, Path target, Agreement.Figures f, Half half) throws IOException {
        return new Report(target.toString(), what.model().name(), what.model().image().toString(), OnnxExporter.OPSET,
                precision.name().toLowerCase(java.util.Locale.ROOT), Files.size(target),
                what.model().table().elements(),
                what.facts().decision().name().toLowerCase(java.util.Locale.ROOT), what.facts().labels(), f.images(),
                f.maxProbabilityDiff(), f.maxLogitDiff(), f.maxRelativeLogitDiff(), half);
    }

    private void print(Terminal terminal, Report r) {
        terminal.print(
                String.format(java.util.Locale.ROOT, "%s: %s, image %s, ONNX opset %d, %s, %,d bytes, outputs %s",
                        r.onnx, r.model, r.image, r.opset, r.precision, r.bytes, ExportCheck.some(r.labels)));
        terminal.print("ONNX Runtime agrees with training: " + ExportCheck.text(r.imagesChecked, !check.isEmpty(),
                r.onnxMaxAbsDiff, r.onnxMaxLogitDiff));
        if (r.fp16 == null) return;
        terminal.print(String.format(java.util.Locale.ROOT,
                "fp16 beside fp32 on the same images: largest difference of a"
                        + " probability %.1e, of a logit %.1e%s",
                r.fp16.maxProbabilityDiff, r.fp16.maxLogitDiff,
                r.fp16.changedDecisions == null
                        ? ""
                        : String.format(java.util.Locale.ROOT, ", other decisions %.2g %%",
                                100 * r.fp16.changedDecisions)));
    }

    private static Path sibling(Path weights) {
        String name = weights.getFileName().toString();
        return weights.resolveSibling(name.replaceFirst("\\.(safetensors|pth|pt)$", "") + ".onnx");
    }
}
