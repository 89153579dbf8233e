package isthmus.task;

import isthmus.data.Films;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.function.DoubleSupplier;

/** A recipe that trains in a moment, films for it, and a listener that listens. */
final class SmallRecipe {
    static final String LABEL = "Pneumonia";

    private SmallRecipe() {}

    /** ConvNet2 on pictures of 16 pixels; {@code more} are further keys, each after a comma. */
    static Recipe of(String more) { return Recipe.fromJson("""
            {"model": "convnet2", "labels": ["Pneumonia"], "precision": "fp32", "batch": 4, "epochs": 3,
             "preprocess": {"resize": 18, "size": 16, "fit": "CROP", "channels": 1, "mean": [0.5], "std": [0.25]},
             "augment": {"shift": 0.05, "flip": 0.5}""" + more + """
            , "optimizer": {"name": "adam", "learning_rate": 0.001}, "seed": 5}
            """); }

    /** A table of so many made-up pictures. */
    static Path films(Path folder, int count) throws IOException {
        java.nio.file.Files.createDirectories(folder);
        Films.write(folder, count);
        return folder.resolve("train.csv");
    }

    /** Keeps what it is told. */
    static class Ear implements PooledTraining.Listener {
        final List<String> lines = new java.util.ArrayList<>();
        int steps;

        @Override
        public void prepared(String line) { lines.add(line); }

        @Override
        public void ready(int training, int validation, long parameters, List<String> warnings) {
            lines.addAll(warnings);
        }

        @Override
        public void epoch(PooledTraining.Epoch epoch, int of) {}

        @Override
        public void step(int batch, int batches, long samples, DoubleSupplier loss) { steps++; }
    }
}
