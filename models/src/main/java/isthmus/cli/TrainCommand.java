package isthmus.cli;

import isthmus.report.JsonFile;
import isthmus.report.ProgressBar;
import isthmus.report.TextTable;
import isthmus.task.Evaluation;
import isthmus.task.LossNote;
import isthmus.task.PooledTraining;
import isthmus.task.Recipe;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.DoubleSupplier;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import tools.jackson.databind.json.JsonMapper;

/** Trains on films that lie in one place. */
@picocli.CommandLine.Command(name = "train", description = "Trains a model on films that lie in one place and keeps the weights that"
        + " validated best.", footer = {"",
                "Example: isthmus train --train a/train.csv b/train.csv --val a/val.csv b/val.csv --report result.json",
                "", "A recipe is JSON; --print-recipe prints one to edit. Of its keys:",
                "  \"optimizer\": {\"name\": \"adam\", \"learning_rate\": 1e-4, \"amsgrad\": true,",
                "     \"groups\": [{\"pattern\": \"fc\", \"lr_factor\": 12}, {\"pattern\": \"*\", \"lr_factor\": 0.12}]},",
                "  \"train_only\": [\"layer4\", \"fc\"], \"accumulate\": 4, \"ema\": {\"decay\": 0.99},",
                "  \"clip_norm\": [{\"until_fraction\": 0.05, \"norm\": 3}, {\"until_fraction\": 1, \"norm\": 1.5}],",
                "  \"loss\": {\"name\": \"focal\", \"gamma\": 2, \"class_weights\": [2]},",
                "  \"budget_minutes\": 30, \"early_stop\": {\"patience\": 6, \"min_delta\": 0.001},",
                "  \"warm_start\": {\"weights\": \"imported.safetensors\", \"subset\": 64, \"epochs\": 2}"})
final class TrainCommand extends Command {
    @Option(names = "--train", arity = "1..*", paramLabel = "CSV", description = "Films to train on; several tables are pooled.")
    private List<Path> train = List.of();

    @Option(names = "--val", arity = "1..*", paramLabel = "CSV", description = "Films to validate on, pooled and one by one.")
    private List<Path> validation = List.of();

    @Option(names = "--recipe", paramLabel = "FILE", description = "How to train, in JSON; or the name of a shipped recipe:"
            + " pneumonia (the default), resnet34-layerwise, resnet34-head.")
    private Path recipeFile;

    @Option(names = "--epochs", description = "Passes over the data instead of the recipe's.")
    private Integer epochs;

    @Option(names = "--seed", description = "Seed of weights, order and variation instead of the recipe's.")
    private Long seed;

    @Option(names = "--start", paramLabel = "FILE", description = "Weights (safetensors) to begin with.")
    private Path start;

    @Option(names = "--out", paramLabel = "DIR", description = "New folder for models, report and log. Default: out/train-TIME.")
    private Path out;

    @Option(names = "--report", paramLabel = "FILE", description = "Write the result there as JSON, too.")
    private Path reportFile;

    @Mixin
    private Cores cores;

    @picocli.CommandLine.Mixin
    private DeviceOption device = new DeviceOption();

    @Option(names = "--fallback", paramLabel = "DEVICE", description = "Where to go on from the last whole epoch if the GPU is lost: cpu."
            + " Default: give up.")
    private String fallback;

    @Option(names = "--print-recipe", description = "Print the recipe and end.")
    private boolean printRecipe;

    /** The best model on one table. */
    record Site(String name, String data, int images, Map<String, Double> auroc) {}

    /** One epoch. */
    record Epoch(int epoch, double loss, Double auroc, double seconds) {}

    /** What came out; {@code auroc} is that of the best model on all validation films. */
    record Report(double seconds, int images, int valImages, long parameters, int bestEpoch, Map<String, Double> auroc,
            List<Site> sites,
            List<Epoch> epochs, String ended, String model) {}

    @Override
    void run(Terminal terminal) throws Exception {
        Recipe recipe = recipe();
        if (printRecipe) {
            System.out.print(JsonFile.text(JsonMapper.shared().readTree(recipe.toJson())));
            return;
        }
        if (train.isEmpty() || validation.isEmpty())
            throw new CliException(Exit.USAGE, "name the films: --train CSV... and --val CSV...");
        if (fallback != null && !fallback.equals("cpu"))
            throw new CliException(Exit.USAGE, "--fallback is '" + fallback + "'; it is cpu");
        int threads = cores.threads();
        for (Path table : train)
            InputFiles.require(table, "a CSV of films");
        for (Path table : validation)
            InputFiles.require(table, "a CSV of films");
        if (start != null) InputFiles.require(start, "weights in safetensors");
        Path folder = RunFolder.make(out, "train");
        Logs.toFile(folder.resolve("train.log"));
        var watch = new Watch(terminal, recipe.epochs());
        PooledTraining.Result result;
        try (watch) {
            result = PooledTraining.run(recipe, train, validation, Optional.ofNullable(start), folder,
                    device.with(threads).orElse(Optional.ofNullable(fallback)), watch);
        }
        Report report = report(recipe, result);
        JsonFile.write(folder.resolve("report.json"), report);
        if (reportFile != null) JsonFile.write(reportFile, report);
        terminal.result(report);
        print(terminal, report, folder);
    }

    private Recipe recipe() throws IOException {
        Recipe recipe = RecipeOption.read(recipeFile);
        if (epochs != null && epochs < 1)
            throw new CliException(Exit.USAGE, "--epochs is " + epochs + "; it is 1 or more");
        if (epochs != null) recipe = recipe.withEpochs(epochs, recipe.localEpochs());
        return seed == null ? recipe : recipe.withSeed(seed);
    }

    private Report report(Recipe recipe, PooledTraining.Result result) throws IOException {
        List<Site> sites = new ArrayList<>();
        for (Path table : validation) {
            Evaluation.Result one = Evaluation.run(result.bestModel(), List.of(table), result.compute());
            sites.add(new Site(siteName(table), table.toString(), one.images(), Scores.auroc(recipe, one.metrics())));
        }
        PooledTraining.Epoch best = result.epochs().get(result.best() - 1);
        int images = sites.stream().mapToInt(Site::images).sum();
        return new Report(result.seconds(), result.films(), images, result.parameters(), result.best(),
                Scores.auroc(recipe, best.validation()), sites,
                result.epochs().stream()
                        .map(e -> new Epoch(e.number(), e.loss(), e.validation().get("auroc"), e.seconds())).toList(),
                result.ended(), result.bestModel().toString());
    }

    /** A table's site: the folder it lies in. */
    private static String siteName(Path table) {
        Path folder = table.toAbsolutePath().getParent();
        return folder == null || folder.getFileName() == null ? table.toString() : folder.getFileName().toString();
    }

    private static void print(Terminal terminal, Report report, Path folder) {
        var heads = new ArrayList<>(List.of("best model", "films"));
        report.auroc.keySet().forEach(l -> heads.add(l.equals("mean") ? "mean AUROC" : l));
        var table = new TextTable(heads, 6);
        for (Site site : report.sites)
            table.add(row(site.name, site.images, site.auroc));
        table.add(row("all", report.valImages, report.auroc));
        terminal.print(table.text() + String.format(Locale.ROOT,
                "epoch %d of %d%s, %d films, %,d parameters, %.1f s; files: %s",
                report.bestEpoch, report.epochs.size(), ended(report.ended), report.images, report.parameters,
                report.seconds, folder));
    }

    private static String ended(String why) {
        return switch (why) {
            case "budget" -> " (the budget of time is spent)";
            case "early_stop" -> " (no further gain)";
            default -> "";
        };
    }

    private static List<String> row(String name, int images, Map<String, Double> auroc) {
        var cells = new ArrayList<>(List.of(name, Integer.toString(images)));
        auroc.values().forEach(v -> cells.add(Scores.text(v)));
        return cells;
    }

    /** Shows a run as it goes on. */
    static final class Watch implements PooledTraining.Listener, AutoCloseable {
        private final Terminal terminal;
        private final int epochs;
        private final LossNote note = new LossNote();
        private ProgressBar bar;
        private int done;

        Watch(Terminal terminal, int epochs) {
            this.terminal = terminal;
            this.epochs = epochs;
        }

        @Override
        public void prepared(String line) { terminal.note(line); }

        @Override
        public void ready(int training, int validation, long parameters, List<String> warnings) {
            Notices.show(terminal, warnings);
            terminal.note(String.format(Locale.ROOT, "%d films to train on, %d to validate on, %,d parameters",
                    training, validation,
                    parameters));
            bar = terminal.bar("training", "steps", 0);
        }

        @Override
        public void step(int step, int steps, long samples, DoubleSupplier loss) {
            bar.update((long) done * steps + step, (long) epochs * steps,
                    terminal.live()
                            ? String.format(Locale.ROOT, "epoch %d/%d, loss %.3f", done + 1, epochs, note.of(loss))
                            : "");
        }

        @Override
        public void epoch(PooledTraining.Epoch epoch, int of) {
            done = epoch.number();
            bar.say(String.format(Locale.ROOT, "epoch %2d/%d  loss %.4f  AUROC %s  %.1f s", epoch.number(), of,
                    epoch.loss(),
                    Scores.text(epoch.validation().get("auroc")), epoch.seconds()));
        }

        @Override
        public void close() { if (bar != null) bar.close(); }
    }
}
