package isthmus.task;

import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.nn.Model;
import isthmus.tensor.Safetensors;
import isthmus.tensor.WeightBuffer;
import isthmus.train.BatchSource;
import isthmus.train.Diagnosis;
import isthmus.train.SyntheticBatch;
import isthmus.train.Trainer;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/** Examines a network by one training step, on films or on noise. */
public final class Checkup {
    private Checkup() {}

    /**
     * Examines a recipe's model.
     *
     * @param weights a safetensors file to begin with; else the recipe's seed decides
     * @param tables films to take one batch of; noise if there are none
     */
    public static Diagnosis run(Recipe recipe, Optional<Path> weights, List<Path> tables, int threads)
            throws IOException {
        Model model = recipe.build();
        Trainer.Options options = recipe.options();
        if (tables.isEmpty())
            return run(model, options, weights,
                    SyntheticBatch.of(options.loss(), options.batch(), model.classes(), options.seed()), threads);
        try (Films films = Films.training(recipe, tables, threads)) {
            return run(recipe.buildForFilms(), options, weights, films.epoch(1), threads);
        }
    }

    /** Examines a model on the first batch of a source. */
    public static Diagnosis run(Model model, Trainer.Options options, Optional<Path> weights, BatchSource source,
            int threads) throws IOException {
        try (CoreLease lease = CoreLease.acquire(threads);
                Backend backend = Backends.cpu(threads);
                Arena arena = Arena.ofConfined()) {
            WeightBuffer buffer = WeightBuffer.allocate(model.table(), arena);
            if (weights.isPresent()) Safetensors.load(weights.get(), buffer);
            else
                model.initialize(buffer, options.seed());
            return Diagnosis.of(model, buffer, options, source, backend);
        }
    }
}
