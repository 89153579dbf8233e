package isthmus.bench;

import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.backend.Precision;
import isthmus.nn.Model;
import isthmus.nn.Seeds;
import isthmus.tensor.Shape;
import isthmus.train.Loss;
import isthmus.train.OptimizerSpec;
import isthmus.train.Trainer;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/**
 * Time of a whole training step (forward, loss, backward, AdamW) on fixed made-up data in memory, as one line of JSON:
 * {@code TrainingStep MODEL BATCH SIZE PRECISION [STEPS [THREADS [DEVICE]]]}.
 */
public final class TrainingStep {
    private static final int CLASSES = 18;
    private static final int WARM_UP = 2;

    private TrainingStep() {}

    /** Runs the benchmark. */
    public static void main(String[] args) throws IOException {
        if (args.length < 4) {
            System.err.println(
                    "usage: TrainingStep MODEL BATCH SIZE fp32|bf16|f16|amp [STEPS [THREADS [DEVICE]]], such as TrainingStep resnet34 32 224 bf16");
            System.exit(2);
        }
        int batch = Integer.parseInt(args[1]);
        int size = Integer.parseInt(args[2]);
        int steps = args.length > 4 ? Integer.parseInt(args[4]) : 8;
        int threads = args.length > 5 ? Integer.parseInt(args[5]) : Runtime.getRuntime().availableProcessors();
        int channels = args[0].equals("convnet2") ? 1 : 3;
        Model model = Zoo.model(args[0], Shape.of(channels, size, size), CLASSES, ModelOptions.DEFAULT);
        String device = args.length > 6 ? args[6] : "cpu";
        long begin = System.nanoTime();
        try (Backend backend = Backends.open(device, threads);
                Trainer trainer = new Trainer(model, options(batch, Precision.parse(args[3], backend)), backend)) {
            model.initialize(trainer.weights(), 1);
            fill(trainer.images(), false);
            fill(trainer.labels(), true);
            backend.enter();
            double first = 0;
            double[] ms = new double[steps];
            for (int i = -WARM_UP; i < steps; i++) {
                long t = System.nanoTime();
                trainer.forwardBackward();
                trainer.update(1);
                if (i == -WARM_UP) first = (System.nanoTime() - begin) / 1e9;
                if (i >= 0) ms[i] = (System.nanoTime() - t) / 1e6;
            }
            Arrays.sort(ms);
            double median = ms[steps / 2];
            System.out.printf(Locale.ROOT,
                    "{\"model\":\"%s\",\"batch\":%d,\"size\":%d,\"precision\":\"%s\",\"threads\":%d,\"step_ms\":%.1f,"
                            + "\"step_ms_min\":%.1f,\"images_per_s\":%.1f,\"first_step_s\":%.2f,\"arena_mb\":%.0f,\"peak_rss_mb\":%.0f,\"loss\":%.4f}%n",
                    args[0], batch, size, args[3], threads, median, ms[0], batch * 1e3 / median, first,
                    trainer.program().plan().bytes() / 1e6,
                    peakRss(), trainer.loss());
        }
    }

    private static Trainer.Options options(int batch, Precision precision) {
        return Trainer.Options.of(new Loss.BinaryCrossEntropy(List.of()), OptimizerSpec.adamw(1e-3, 1e-2), precision,
                batch);
    }

    private static void fill(MemorySegment floats, boolean bits) {
        long key = Seeds.key(1, bits ? "labels" : "images");
        for (long i = 0; i < floats.byteSize() / Float.BYTES; i++) {
            float u = Seeds.uniform(key, i);
            floats.setAtIndex(ValueLayout.JAVA_FLOAT, i, bits ? Math.round(u) : 2 * u - 1);
        }
    }

    private static double peakRss() throws IOException {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmHWM:")) return Long.parseLong(line.replaceAll("[^0-9]", "")) / 1024.0;
        }
        return Double.NaN;
    }
}
