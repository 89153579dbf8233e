package isthmus.cli;

import isthmus.backend.Precision;
import isthmus.nn.Adaptation;
import isthmus.nn.Lora;
import isthmus.nn.Model;
import isthmus.report.JsonFile;
import isthmus.report.TextTable;
import isthmus.task.Checkup;
import isthmus.task.Recipe;
import isthmus.tensor.Shape;
import isthmus.train.Diagnosis;
import isthmus.train.Loss;
import isthmus.train.OptimizerSpec;
import isthmus.train.SyntheticBatch;
import isthmus.train.Trainer;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalDouble;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Examines a network by one training step. */
@picocli.CommandLine.Command(name = "diagnose", description = "Examines a network by one training step: what is frozen, gradient norm"
        + " and update-to-weight ratio of each layer, dead ReLUs, layers with no non-linearity between.", footer = {"",
                "Example: isthmus diagnose --recipe recipe.json --data films/train.csv",
                "         isthmus diagnose --weights best.safetensors --data films/train.csv --json",
                "         isthmus diagnose --model resnet34 --image 3x224x224 --batch 8 --train layer4 fc"})
final class DiagnoseCommand extends Command {
    @Option(names = "--recipe", paramLabel = "FILE", description = "What is trained and how, in JSON. Default: the recipe in"
            + " --weights, else the shipped one for pneumonia.")
    private Path recipeFile;

    @Option(names = "--weights", paramLabel = "FILE", description = "Weights (safetensors) to begin with. Default: from the seed.")
    private Path weights;

    @Option(names = "--data", arity = "1..*", paramLabel = "CSV", description = "Films to take one batch of. Default: noise.")
    private List<Path> data = List.of();

    @Option(names = "--model", paramLabel = "NAME", description = "A network of the catalogue instead of a recipe's, on noise, with"
            + " Adam at 1e-3.")
    private String model;

    @Option(names = "--image", paramLabel = "CxHxW", description = "With --model: shape of one image. Default: 1x64x64, or"
            + " 1x32x32x32 for volumes.")
    private String image;

    @Option(names = "--classes", description = "With --model: outputs. Default: 2.")
    private int classes = 2;

    @Option(names = "--batch", description = "With --model: samples. Default: 4.")
    private int batch = 4;

    @Option(names = "--freeze", arity = "1..*", paramLabel = "PATTERN", description = "With --model: parameters that are not trained.")
    private List<String> frozen = List.of();

    @Option(names = "--train", arity = "1..*", paramLabel = "PATTERN", description = "With --model: the only parameters that are"
            + " trained.")
    private List<String> trained = List.of();

    @Option(names = "--lora", arity = "1..*", paramLabel = "LAYER", description = "With --model: layers with adapters of rank 4; all"
            + " else is frozen.")
    private List<String> lora = List.of();

    @Option(names = "--report", paramLabel = "FILE", description = "Write the result there as JSON, too.")
    private Path report;

    @Mixin
    private Cores cores;

    @Override
    void run(Terminal terminal) throws Exception {
        if (weights != null) InputFiles.require(weights, "weights in safetensors");
        for (Path table : data)
            InputFiles.require(table, "a CSV of films");
        int threads = cores.threads();
        Diagnosis d = model == null ? ofRecipe(threads) : ofModel(threads);
        if (report != null) JsonFile.write(report, d);
        terminal.result(d);
        print(terminal, d);
    }

    private Diagnosis ofRecipe(int threads) throws Exception {
        if (image != null || !frozen.isEmpty() || !trained.isEmpty() || !lora.isEmpty())
            throw new CliException(Exit.USAGE,
                    "--image, --freeze, --train and --lora go with --model; a recipe says it itself");
        Recipe recipe = recipeFile == null && weights != null
                ? isthmus.task.Evaluation.recipe(weights)
                : RecipeOption.read(recipeFile);
        return Checkup.run(recipe, Optional.ofNullable(weights), data, threads);
    }

    private Diagnosis ofModel(int threads) throws Exception {
        if (recipeFile != null || !data.isEmpty())
            throw new CliException(Exit.USAGE, "--model examines a network on noise: leave --recipe and --data out");
        boolean volume = model.equals("segresnet") || model.equals("retinanet3d");
        Adaptation adaptation = new Adaptation(frozen, trained,
                lora.isEmpty() ? Optional.empty() : Optional.of(new Lora(4, 8, lora)));
        Model made;
        try {
            made = Zoo.model(model, shape(image != null ? image : volume ? "1x32x32x32" : "1x64x64"), classes,
                    ModelOptions.DEFAULT.with(adaptation));
        } catch (IllegalArgumentException e) {
            throw new CliException(Exit.USAGE, e.getMessage(), e);
        }
        Loss loss = model.equals("segresnet")
                ? new Loss.DiceCrossEntropy(1e-5f, true)
                : new Loss.BinaryCrossEntropy(List.of());
        Trainer.Options options = Trainer.Options.of(loss, OptimizerSpec.adam(1e-3), Precision.FP32, batch);
        return Checkup.run(made, options, Optional.ofNullable(weights),
                SyntheticBatch.of(loss, batch, classes, 1), threads);
    }

    private static Shape shape(String text) {
        if (!text.matches("[1-9]\\d{0,4}(x[1-9]\\d{0,4}){2,3}"))
            throw new CliException(Exit.USAGE, "--image is " + text + "; write channels and lengths, such as 1x64x64");
        return Shape.of(java.util.Arrays.stream(text.split("x")).mapToInt(Integer::parseInt).toArray());
    }

    private static void print(Terminal terminal, Diagnosis d) {
        var layers = new TextTable(List.of("layer", "trained", "frozen", "gradient", "update/weight"), 8);
        for (Diagnosis.Layer l : d.layers())
            layers.add(List.of(l.name(), String.format(Locale.ROOT, "%,d", l.trained()),
                    String.format(Locale.ROOT, "%,d", l.fixed()), text(l.gradientNorm()), text(l.updateRatio())));
        terminal.print(layers.text());
        if (!d.rectifiers().isEmpty()) {
            var relus = new TextTable(List.of("ReLU after", "units", "dead", "share"), 6);
            for (Diagnosis.Rectifier r : d.rectifiers())
                relus.add(List.of(r.after(), Integer.toString(r.units()), Integer.toString(r.dead()),
                        String.format(Locale.ROOT, "%.0f %%", 100 * r.share())));
            terminal.print(relus.text());
        }
        terminal.print(String.format(Locale.ROOT, "loss %.4f; %d parameters frozen", d.loss(), d.frozen().size()));
        d.warnings().forEach(w -> terminal.print("warning: " + w));
        if (d.warnings().isEmpty()) terminal.print("nothing looks wrong");
    }

    private static String text(OptionalDouble v) {
        return v.isEmpty() ? "-" : String.format(Locale.ROOT, "%.2e", v.getAsDouble());
    }
}
