package isthmus.task;

import isthmus.tensor.Safetensors;
import isthmus.tensor.WeightBuffer;
import isthmus.train.Trainer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/** Weights and moments of the last whole epoch, from which a run goes on when its device was lost. Two are kept in turn. */
final class Foothold {
    private static final String WEIGHTS = "weights.safetensors";
    private static final String OPTIMIZER = "optimizer.safetensors";

    private final Path folder;
    private int epoch;

    Foothold(Path out) { this.folder = out.resolve("resume"); }

    private Path of(int number, String file) { return folder.resolve(number % 2 + "-" + file); }

    /** Writes what an epoch has come to; the one before stays until this is whole. */
    void keep(Trainer trainer, int number) throws IOException {
        Files.createDirectories(folder);
        Safetensors.write(of(number, WEIGHTS), trainer.weights(), Map.of("epoch", Integer.toString(number)));
        trainer.saveOptimizer(of(number, OPTIMIZER), Map.of());
        epoch = number;
    }

    /** Puts another trainer where that epoch ended, or where the run began. */
    void takeUp(Trainer trainer, WeightBuffer start, long totalSteps) throws IOException {
        if (epoch == 0) {
            trainer.weights().copyFrom(start);
            trainer.begin(0, totalSteps, 0);
            return;
        }
        Safetensors.load(of(epoch, WEIGHTS), trainer.weights());
        trainer.loadOptimizer(of(epoch, OPTIMIZER));
        trainer.resume(trainer.optimizerSteps(), totalSteps, 0);
    }

    /** The run has come to its end. */
    void clear() throws IOException {
        for (int i = 0; i < 2; i++) {
            Files.deleteIfExists(of(i, WEIGHTS));
            Files.deleteIfExists(of(i, OPTIMIZER));
        }
        Files.deleteIfExists(folder);
    }
}
