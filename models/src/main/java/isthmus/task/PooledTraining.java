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
     * @param compute what computed at the end
     */
    public record Result(List<Epoch> epochs, int best, Path bestModel, Path lastModel, long parameters, int films,
            double seconds, String ended, Compute compute) {}

    /** Told as the run goes on. */
    public interface Listener extends Trainer.Progress {
        /** Something was done before training proper; one line. */
        default void prepared(String line) {}

        /** Films are read; {@code warnings} has a line for each thing that is odd. */
        void ready(int training, int validation, long parameters, List<String> warnings);

        /** An epoch is done. */
        void epoch(Epoch epoch, int of);
    }

    private final Recipe recipe;
    private final Path best;
    private final Path last;
    private final Listener listener;
    private final Budget budget;
    private final Gains gains;
    private final Foothold foothold;
    private final List<Epoch> epochs = new ArrayList<>();
    private Session session;
    private int films;

    private PooledTraining(Recipe recipe, Path out, Listener listener, Budget budget) {
        this.recipe = recipe;
        this.best = out.resolve("best.safetensors");
        this.last = out.resolve("last.safetensors");
        this.listener = listener;
        this.budget = budget;
        this.gains = new Gains(recipe.course().earlyStop());
        this.foothold = new Foothold(out);
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
        var run = new PooledTraining(recipe, out, listener, new Budget(recipe.course().minutes(), clock));
        try (Arena arena = Arena.ofConfined()) {
            WeightBuffer weights = StartWeights.make(recipe, start, train, compute, arena, listener::prepared);
            Compute used = compute;
            String ended;
            try {
                ended = run.on(compute, train, validation, weights, clock);
            } catch (DeviceLostException e) {
                used = compute.next().orElseThrow(() -> e);
                listener.prepared(e.getMessage() + "; going on with " + used.device() + " after epoch "
                        + run.epochs.size());
                ended = run.on(used, train, validation, weights, clock);
            }
            run.foothold.clear();
            return new Result(List.copyOf(run.epochs), run.gains.bestEpoch(), run.best, run.last,
                    weights.table().elements(), run.films, (System.nanoTime() - begin) / 1e9, ended, used);
        }
    }

    /** Trains on a device from where the run is to its end; says why it ended. */
    private String on(Compute compute, List<Path> train, List<Path> validation, WeightBuffer start, LongSupplier clock)
            throws IOException {
        try (CoreLease lease = CoreLease.acquire(compute.threads());
                Session s = Session.pooled(recipe, train, validation, compute)) {
            session = s;
            films = s.films.size();
            s.enter();
            listener.ready(s.films.size(), s.measure.size(), s.model.table().elements(), s.warnings());
            try {
                foothold.takeUp(s.trainer, start, recipe.epochs() * s.steps());
                return train(clock, compute.fallback().isPresent());
            } catch (RuntimeException e) {
                String loss = s.loss().orElseThrow(() -> e);
                throw new DeviceLostException(lost(e, loss), e);
            }
        }
    }

    private String lost(RuntimeException e, String loss) {
        String safe = epochs.isEmpty()
                ? "no epoch was complete"
                : best + " holds the best of " + epochs.size() + " complete epochs";
        return e.getMessage() + "; " + loss + "; " + safe;
    }

    /** Epoch after epoch; says why it ended. */
    private String train(LongSupplier clock, boolean mayFallBack) throws IOException {
        Optional<String> end = Optional.empty();
        for (int e = epochs.size() + 1; end.isEmpty(); e++) {
            long t = System.nanoTime();
            var window = new Window();
            double loss = session.pass(e, window);
            long trained = clock.getAsLong();
            Map<String, Double> metrics = session.metrics();
            Epoch epoch = new Epoch(e, loss, metrics, (System.nanoTime() - t) / 1e9);
            // From here on nothing is asked of the device: an epoch is complete, or not there.
            session.trainer.averaged();
            if (mayFallBack) foothold.keep(session.trainer, e);
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
