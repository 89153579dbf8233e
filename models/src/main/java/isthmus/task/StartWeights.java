package isthmus.task;

import isthmus.backend.Backend;
import isthmus.nn.Model;
import isthmus.tensor.Safetensors;
import isthmus.tensor.WeightBuffer;
import isthmus.tensor.WeightTable;
import isthmus.train.Ema;
import isthmus.train.Schedule;
import isthmus.train.Trainer;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * The weights that a run begins with: those that the recipe's seed gives, over them those of a file, and what training on
 * a few films makes of them ({@link Recipe.WarmStart}).
 */
public final class StartWeights {
    private StartWeights() {}

    /**
     * Makes them and writes them to a file with the recipe in its metadata, as a job of a federation begins with.
     *
     * @param file safetensors to begin with instead of the recipe's
     * @param tables films for the recipe's training on a few; not looked at if it wants none
     * @param told one line for each thing that was done
     */
    public static void write(Recipe recipe, Optional<Path> file, List<Path> tables, Compute compute, Path to,
            Consumer<String> told) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            Safetensors.write(to, make(recipe, file, tables, compute, arena, told),
                    Map.of(Recipe.METADATA, recipe.toJson()));
        }
    }

    /** Makes them in memory of the arena. */
    static WeightBuffer make(Recipe recipe, Optional<Path> file, List<Path> tables, Compute compute, Arena arena,
            Consumer<String> told) throws IOException {
        Model model = recipe.build();
        WeightBuffer weights = WeightBuffer.allocate(model.table(), arena);
        model.initialize(weights, recipe.seed());
        Optional<Path> from = file.or(() -> recipe.course().warmStart().weights().map(Path::of));
        if (from.isPresent()) load(from.get(), weights, told);
        if (recipe.course().warmStart().trains()) {
            try (CoreLease lease = CoreLease.acquire(compute.threads()); Backend backend = compute.open()) {
                backend.enter();
                train(recipe, recipe.buildForFilms(), weights, tables, compute.threads(), backend, told);
            }
        }
        return weights;
    }

    /** All but adapters must be in the file: adapters may begin anew on weights that were trained without. */
    private static void load(Path file, WeightBuffer weights, Consumer<String> told) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            WeightBuffer theirs = Safetensors.map(file, arena).weights();
            if (weights.table().entries().stream().noneMatch(e -> isNewAdapter(e, theirs))) {
                Safetensors.load(file, weights);
                return;
            }
            List<String> differences = differences(weights.table(), theirs.table());
            if (!differences.isEmpty())
                throw new IllegalArgumentException(file + ": not the weights of this model; " + differences);
            List<String> anew = weights.copyByName(theirs);
            told.accept(file + ": " + anew.size() + " adapter weights are not in it and begin anew");
        }
    }

    private static boolean isNewAdapter(WeightTable.Entry e, WeightBuffer theirs) {
        return e.name().contains(".lora_") && !theirs.table().has(e.name());
    }

    private static List<String> differences(WeightTable ours, WeightTable theirs) {
        WeightTable.Builder plain = WeightTable.builder();
        for (WeightTable.Entry e : ours.entries())
            if (theirs.has(e.name()) || !e.name().contains(".lora_")) plain.add(e.name(), e.shape(), e.region());
        WeightTable.Builder found = WeightTable.builder();
        for (WeightTable.Entry e : theirs.entries())
            found.add(e.name(), e.shape(), ours.has(e.name()) ? ours.entry(e.name()).region() : e.region());
        return plain.build().differences(found.build(), 5);
    }

    private static void train(Recipe recipe, Model model, WeightBuffer weights, List<Path> tables, int threads,
            Backend backend, Consumer<String> told) {
        Recipe.WarmStart warm = recipe.course().warmStart();
        double rate = warm.learningRate().orElse(recipe.update().optimizer().learningRate());
        Recipe constant = recipe.with(recipe.update().with(recipe.update().optimizer().withLearningRate(rate))
                .with(Schedule.CONSTANT).with(Ema.OFF));
        List<String> notes = new ArrayList<>();
        try (Films films = Films.few(constant, tables, threads);
                Trainer trainer = new Trainer(model, Session.options(constant, films, backend, notes), backend)) {
            trainer.weights().copyFrom(weights);
            trainer.begin(0, (long) warm.epochs() * trainer.steps(films.batches()), 0);
            double first = Double.NaN;
            double loss = Double.NaN;
            for (int e = 1; e <= warm.epochs(); e++) {
                loss = trainer.pass(films.epoch(-e), (batch, batches, samples, mean) -> {});
                if (e == 1) first = loss;
            }
            weights.copyFrom(trainer.weights());
            told.accept(String.format(Locale.ROOT, "warm start: %d films, %d epochs, loss %.4f in the first, %.4f in "
                    + "the last", films.size(), warm.epochs(), first, loss));
        }
    }
}
