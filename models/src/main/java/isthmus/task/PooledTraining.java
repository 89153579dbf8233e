package isthmus.task;

import isthmus.tensor.Safetensors;
import isthmus.train.Trainer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Trains one model on films that lie in one place; keeps the weights that validated best, and the last ones. */
public final class PooledTraining {
    /** One epoch's outcome. */
    public record Epoch(int number, double loss, Map<String, Double> validation, double seconds) {}

    /** A run's outcome; {@code best} is an epoch's number. */
    public record Result(List<Epoch> epochs, int best, Path bestModel, Path lastModel, long parameters, int films,
            double seconds) {}

    /** Told as the run goes on. */
    public interface Listener extends Trainer.Progress {
        /** Films are read; {@code warnings} has a line for each thing that is odd. */
        void ready(int training, int validation, long parameters, List<String> warnings);

        /** An epoch is done. */
        void epoch(Epoch epoch, int of);
    }

    private PooledTraining() {}

    /**
     * Runs a recipe.
     *
     * @param start weights to begin with; else the recipe's seed decides
     * @param out folder for best.safetensors and last.safetensors
     */
    public static Result run(Recipe recipe, List<Path> train, List<Path> validation, Optional<Path> start, Path out,
            Compute compute,
            Listener listener) throws IOException {
        long begin = System.nanoTime();
        try (CoreLease lease = CoreLease.acquire(compute.threads());
                Session s = new Session(recipe, train, validation, compute)) {
            s.enter();
            if (start.isPresent()) Safetensors.load(start.get(), s.weights());
            else
                s.initialize();
            long parameters = s.model.table().elements();
            listener.ready(s.films.size(), s.measure.size(), parameters, warnings(s));
            s.trainer.begin(0, (long) recipe.epochs() * s.films.batches(), 0);
            List<Epoch> epochs = new ArrayList<>();
            Path best = out.resolve("best.safetensors");
            Path last = out.resolve("last.safetensors");
            int bestEpoch = 0;
            double bestKey = Double.NEGATIVE_INFINITY;
            for (int e = 1; e <= recipe.epochs(); e++) {
                long t = System.nanoTime();
                double loss = s.pass(e, listener);
                Map<String, Double> m = s.metrics();
                Epoch epoch = new Epoch(e, loss, m, (System.nanoTime() - t) / 1e9);
                epochs.add(epoch);
                Map<String, String> metadata = Map.of(Recipe.METADATA, recipe.toJson(), "epoch", Integer.toString(e),
                        "auroc",
                        String.valueOf(m.get("auroc")));
                double key = m.getOrDefault("auroc", -m.get("loss"));
                if (key > bestKey) {
                    bestKey = key;
                    bestEpoch = e;
                    Safetensors.write(best, s.weights(), metadata);
                }
                if (e == recipe.epochs()) Safetensors.write(last, s.weights(), metadata);
                listener.epoch(epoch, recipe.epochs());
            }
            return new Result(List.copyOf(epochs), bestEpoch, best, last, parameters, s.films.size(),
                    (System.nanoTime() - begin) / 1e9);
        }
    }

    private static List<String> warnings(Session s) {
        List<String> all = new ArrayList<>(s.films.warnings());
        all.addAll(s.measure.films().warnings());
        return all;
    }
}
