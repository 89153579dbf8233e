package isthmus.profile;

import isthmus.backend.Backend;
import isthmus.backend.Precision;
import isthmus.detect.DetectionSettings;
import isthmus.detect.Detector;
import isthmus.nn.Model;
import isthmus.nn.Seeds;
import isthmus.op.Kind;
import isthmus.tensor.Shape;
import isthmus.train.Loss;
import isthmus.train.OptimizerSpec;
import isthmus.train.Trainer;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * A training step on made-up data in memory: forward, loss, backward, optimizer. Networks with one output a class learn by
 * binary cross-entropy, those with one a position by softmax cross-entropy, detectors from one box an image.
 *
 * @param precision fp32, bf16, f16 or amp
 * @param size edge of the image, or of the volume for a network of three spatial axes
 * @param channels of the image
 * @param optimizer sgd, adam or adamw
 */
public record Workload(String model, int batch, String precision, int size, int channels, int classes,
        String optimizer) {
    private static final long SEED = 1;

    public Workload {
        for (int n : new int[]{batch, size, channels, classes})
            if (n < 1)
                throw new IllegalArgumentException("batch " + batch + ", size " + size + ", " + channels
                        + " channels and " + classes + " classes: each is at least 1");
        Precision.parse(precision);
        spec(optimizer);
    }

    /** The workload at which the model is usually compared. */
    public static Workload usual(String model, String precision) {
        boolean volume = Zoo.takesVolumes(model);
        int channels = volume || model.equals("convnet2") || model.equals("xraynet") ? 1 : 3;
        int classes = model.equals("retinanet3d") ? 1 : volume ? 14 : 18;
        return new Workload(model, volume ? 1 : 32, precision, volume ? 96 : 224, channels, classes, "adamw");
    }

    private static OptimizerSpec spec(String name) {
        return switch (name) {
            case "sgd" -> OptimizerSpec.sgd(1e-3);
            case "adam" -> OptimizerSpec.adam(1e-4);
            case "adamw" -> OptimizerSpec.adamw(1e-4, 1e-2);
            default ->
                throw new IllegalArgumentException("optimizer '" + name + "' is not known; choose sgd, adam or adamw");
        };
    }

    /** The model's network for one image. */
    public Model network() {
        int[] image = new int[Zoo.takesVolumes(model) ? 4 : 3];
        Arrays.fill(image, size);
        image[0] = channels;
        // The patches of lung scans that it is compared on are flat: 192x192x80.
        if (model.equals("retinanet3d")) image[3] = Math.max(1, size * 5 / 12);
        // SegResNet is usually compared at twice the width that it has by default.
        ModelOptions options = model.equals("segresnet")
                ? ModelOptions.DEFAULT.with(Map.of("init_filters", List.of(32)))
                : ModelOptions.DEFAULT;
        return Zoo.model(model, Shape.of(image), classes, options);
    }

    /** Compiles the step. */
    public Trainer compile(Model network, Backend backend) {
        return new Trainer(network, options(network, backend), backend);
    }

    /** The step as data. */
    public Trainer.Options options(Model network, Backend backend) {
        return Trainer.Options.of(loss(network), spec(optimizer), Precision.parse(precision, backend), batch);
    }

    private static Loss loss(Model network) {
        if (network.maps().isPresent()) return new Detector(network, DetectionSettings.LUNA16).loss();
        return network.output().rank() > 1
                ? new Loss.SoftmaxCrossEntropy()
                : new Loss.BinaryCrossEntropy(List.of());
    }

    /** Sets initial weights and puts the data in place. */
    public void fill(Model network, Trainer trainer) {
        network.initialize(trainer.weights(), SEED);
        images(trainer.images());
        if (network.maps().isPresent()) boxes(network, trainer.labels());
        else
            labels(trainer.labels(), trainer.program().graph().inputs().get(Loss.LABELS).spec().kind());
    }

    private static void images(MemorySegment at) {
        long key = Seeds.key(SEED, "images");
        for (long i = 0; i < at.byteSize() / Float.BYTES; i++)
            at.setAtIndex(ValueLayout.JAVA_FLOAT, i, 2 * Seeds.uniform(key, i) - 1);
    }

    /** A ball of an eighth of the volume's least length in the middle of every image. */
    private void boxes(Model network, MemorySegment at) {
        Detector detector = new Detector(network, DetectionSettings.LUNA16);
        int axes = network.image().rank() - 1;
        float radius = Arrays.stream(network.image().dims()).skip(1).min().orElseThrow() / 16f;
        float[] box = new float[2 * axes];
        for (int k = 0; k < axes; k++) {
            box[k] = network.image().dim(1 + k) / 2f - radius;
            box[axes + k] = box[k] + 2 * radius;
        }
        for (int i = 0; i < batch; i++)
            detector.targets(at, i, box, new int[]{0}, 1);
    }

    private void labels(MemorySegment at, Kind kind) {
        long key = Seeds.key(SEED, "labels");
        for (long i = 0; i < at.byteSize() / Float.BYTES; i++) {
            float u = Seeds.uniform(key, i);
            if (kind == Kind.LABEL) at.setAtIndex(ValueLayout.JAVA_INT, i, (int) (u * classes));
            else
                at.setAtIndex(ValueLayout.JAVA_FLOAT, i, u < 0.1f ? 1 : 0);
        }
    }
}
