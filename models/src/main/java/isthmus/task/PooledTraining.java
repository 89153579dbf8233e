package isthmus.task;

import isthmus.tensor.Safetensors;
import isthmus.tensor.WeightBuffer;
import isthmus.train.Trainer;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.DoubleSupplier;
import java.util.function.LongSupplier;

/** Trains one model on films that lie in one place; keeps the weights that validated best, and the last ones. */
public final class PooledTraining {
    /** One epoch's outcome; the last one may be cut short by the budget. */
    public record Epoch(int number, double loss, Map<String, Double> validation, double seconds) {}

    /**
     * A run's outcome.
     *
     * @param best an epoch's number
     * @param ended why it ended: epochs, budget or early_stop
     */
    public record Result(List<Epoch> epochs, int best, Path bestModel, Path lastModel, long parameters, int films,
            double seconds, String ended) {}

    /** Told as the run goes on. */
    public interface Listener extends Trainer.Progress {
        /** Something was done before training proper; one line. */
        default void prepared(String line) {}

        /** Films are read; {@code warnings} has a line for each thing that is odd. */
        void ready(int training, int validation, long parameters, List<String> warnings);

        /** An epoch is done. */
        void epoch(Epoch epoch, int of);
    }

    private final Session session;
    private final Recipe recipe;
    private final Path best;
    private final Path last;
    private final Listener listener;
    private final Budget budget;
    private final Gains gains;
    private final List<Epoch> epochs = new ArrayList<>();

    private PooledTraining(Session session, Path out, Listener listener, Budget budget) {
        this.session = session;
        this.recipe = session.recipe;
        this.best = out.resolve("best.safetensors");
        this.last = out.resolve("last.safetensors");
        this.listener = listener;
        this.budget = budget;
        this.gains = new Gains(recipe.course().earlyStop());
    }

    /**
     * Runs a recipe.
     *
     * @param start weights to begin with; else the recipe decides
     * @param out folder for best.safetensors and last.safetensors
     */
    public static Result run(Recipe recipe, List<Path> train, List<Path> validation, Optional<Path> start, Path out,
            Compute compute, Listener listener) throws IOException {
        return run(recipe, train, validation, start, out, compute, listener, System::nanoTime);
    }

    /** The same by another clock, in nanoseconds. */
    static Result run(Recipe recipe, List<Path> train, List<Path> validation, Optional<Path> start, Path out,
            Compute compute, Listener listener, LongSupplier clock) throws IOException {
        long begin = System.nanoTime();
        var budget = new Budget(recipe.course().minutes(), clock);
        try (Arena arena = Arena.ofConfined()) {
            WeightBuffer weights = StartWeights.make(recipe, start, train, compute, arena, listener::prepared);
            try (CoreLease lease = CoreLease.acquire(compute.threads());
                    Session s = Session.pooled(recipe, train, validation, compute)) {
                s.enter();
                s.weights().copyFrom(weights);
                long parameters = s.model.table().elements();
                listener.ready(s.films.size(), s.measure.size(), parameters, s.warnings());
                var run = new PooledTraining(s, out, listener, budget);
                String ended = run.train(clock);
                return new Result(List.copyOf(run.epochs), run.gains.bestEpoch(), run.best, run.last, parameters,
                        s.films.size(), (System.nanoTime() - begin) / 1e9, ended);
            }
        }
    }

    /** Epoch after epoch; says why it ended. */
    private String train(LongSupplier clock) throws IOException {
        session.trainer.begin(0, recipe.epochs() * session.steps(), 0);
        Optional<String> end = Optional.empty();
        for (int e = 1; end.isEmpty(); e++) {
            long t = System.nanoTime();
            var window = new Window();
            double loss = session.pass(e, window);
            long trained = clock.getAsLong();
            Map<String, Double> metrics = session.metrics();
            Epoch epoch = new Epoch(e, loss, metrics, (System.nanoTime() - t) / 1e9);
            epochs.add(epoch);
            if (gains.note(e, metrics.getOrDefault("auroc", -metrics.get("loss")))) keep(best, epoch);
            budget.reserve(clock.getAsLong() - trained);
            listener.epoch(epoch, recipe.epochs());
            end = end(e, window.cut);
        }
        keep(last, epochs.getLast());
        return end.get();
    }

    private Optional<String> end(int epoch, boolean cut) {
        if (epoch == recipe.epochs() && !cut) return Optional.of("epochs");
        if (budget.isSpent()) return Optional.of("budget");
        return gains.isStalled() ? Optional.of("early_stop") : Optional.empty();
    }

    private void keep(Path file, Epoch epoch) throws IOException {
        Safetensors.write(file, session.trainer.averaged(), Map.of(Recipe.METADATA, recipe.toJson(), "epoch",
                Integer.toString(epoch.number), "auroc", String.valueOf(epoch.validation.get("auroc"))));
    }

    /** Tells the listener, and ends a pass when the budget is spent. */
    private final class Window implements Trainer.Progress {
        private boolean whole;
        private boolean cut;

        @Override
        public void step(int batch, int batches, long samples, DoubleSupplier loss) {
            whole = batch == batches;
            listener.step(batch, batches, samples, loss);
        }

        @Override
        public boolean enough() {
            cut = !whole && budget.isSpent();
            return cut;
        }
    }
}
