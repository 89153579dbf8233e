package isthmus.detect;

import static org.junit.jupiter.api.Assertions.assertTrue;

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
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Small networks learn in a few steps to find bright balls in noise, also in volumes larger than what they saw. */
class BallsTest {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT;
    private static final int BATCH = 2;

    /** A ball in a volume: middle and radius, in voxels. */
    private record Ball(float z, float y, float x, float radius) {
        /** Somewhere in a volume, wholly inside. */
        static Ball in(List<Integer> volume, long key, int i) {
            float radius = 3 + 2 * Seeds.uniform(key, 4L * i);
            float[] at = new float[3];
            for (int k = 0; k < 3; k++)
                at[k] = radius + (volume.get(k) - 2 * radius) * Seeds.uniform(key, 4L * i + 1 + k);
            return new Ball(at[0], at[1], at[2], radius);
        }

        boolean contains(int d, int h, int w) {
            return Math.pow(d + 0.5 - z, 2) + Math.pow(h + 0.5 - y, 2) + Math.pow(w + 0.5 - x, 2) < radius * radius;
        }

        float[] box() { return new float[]{z - radius, y - radius, x - radius, z + radius, y + radius, x + radius}; }
    }

    private interface Voxel {
        void visit(long at, boolean inside);
    }

    private static void each(List<Integer> volume, List<Ball> balls, Voxel voxel) {
        long at = 0;
        for (int d = 0; d < volume.get(0); d++) {
            for (int h = 0; h < volume.get(1); h++) {
                for (int w = 0; w < volume.get(2); w++, at++) {
                    boolean inside = false;
                    for (Ball b : balls)
                        inside |= b.contains(d, h, w);
                    voxel.visit(at, inside);
                }
            }
        }
    }

    /** Balls of brightness 1 in noise of deviation 0.3. */
    private static void paint(MemorySegment to, long first, List<Integer> volume, List<Ball> balls, long key) {
        each(volume, balls, (at, inside) -> to.setAtIndex(F32, first + at,
                (float) ((inside ? 1 : 0) + 0.3 * Seeds.normal(key, first + at))));
    }

    private static int voxels(List<Integer> volume) { return volume.stream().reduce(1, (a, b) -> a * b); }

    private static Shape image(List<Integer> volume) {
        return Shape.of(1, volume.get(0), volume.get(1), volume.get(2));
    }

    /** Trains and returns the mean loss of the first and of the last ten steps. */
    private static double[] train(Trainer trainer, int steps, List<Integer> volume, Labels labels) {
        double first = 0;
        double last = 0;
        for (int step = 0; step < steps; step++) {
            for (int sample = 0; sample < BATCH; sample++) {
                Ball ball = Ball.in(volume, Seeds.key(1, "balls"), step * BATCH + sample);
                paint(trainer.images(), (long) sample * voxels(volume), volume, List.of(ball),
                        Seeds.key(2, "n" + step));
                labels.write(trainer.labels(), sample, ball);
            }
            trainer.forwardBackward();
            trainer.update(1);
            if (step < 10) first += trainer.loss() / 10;
            if (step >= steps - 10) last += trainer.loss() / 10;
        }
        return new double[]{first, last};
    }

    private interface Labels {
        void write(MemorySegment labels, int sample, Ball ball);
    }

    @Test
    void retinaNetFindsBalls() {
        List<Integer> window = List.of(32, 32, 16);
        Model model = Zoo.model("retinanet3d", image(window), 1, ModelOptions.DEFAULT.with(Map.of(
                "width", List.of(8), "pyramid", List.of(16), "blocks", List.of(1, 1, 1, 1), "anchors", List.of(1))));
        DetectionSettings settings = DetectionSettings.LUNA16.with(List.of(List.of(8, 8, 8)), List.of(1, 2, 4));
        Detector detector = new Detector(model, settings);
        Trainer.Options options = Trainer.Options.of(detector.loss(), OptimizerSpec.adam(3e-3), Precision.FP32, BATCH);
        try (Backend backend = Backends.cpu(2); Trainer trainer = new Trainer(model, options, backend)) {
            backend.enter();
            model.initialize(trainer.weights(), 4);
            double[] losses = train(trainer, 200, window, (labels, sample, ball) -> assertTrue(
                    detector.targets(labels, sample, ball.box(), new int[]{0}, 1) > 0, "nothing is matched"));
            assertTrue(losses[1] < 0.5 * losses[0], "the loss goes from " + losses[0] + " to " + losses[1]);
            findTwo(model, trainer, detector, backend);
        }
    }

    /** Two balls in a volume of several windows, one of them where windows overlap. */
    private static void findTwo(Model model, Trainer trainer, Detector detector, Backend backend) {
        List<Integer> volume = List.of(50, 40, 24);
        List<Ball> balls = List.of(new Ball(10, 30, 8, 4), new Ball(29, 12, 14, 4.5f));
        Detections found = new Detections(3);
        try (Arena arena = Arena.ofConfined();
                VolumeInference inference = new VolumeInference(model, trainer.weights(),
                        2, 0.5, Precision.FP32, backend)) {
            MemorySegment scan = arena.allocate((long) voxels(volume) * Float.BYTES, 64);
            paint(scan, 0, volume, balls, 99);
            inference.detect(scan, volume, detector, found);
        }
        assertTrue(found.size() >= 2, found.size() + " boxes found");
        for (Ball ball : balls) {
            double best = Math.max(found.overlap(0, ball.box()), found.overlap(1, ball.box()));
            assertTrue(best > 0.3, "the two best boxes overlap " + ball + " by " + best);
        }
        assertTrue(found.score(1) > 0.5, "scores " + found.score(0) + ", " + found.score(1));
    }

    @Test
    void segResNetOutlinesBalls() {
        List<Integer> window = List.of(24, 24, 16);
        Model model = Zoo.model("segresnet", image(window), 2, ModelOptions.DEFAULT.with(Map.of("init_filters",
                List.of(8), "blocks_down", List.of(1, 1, 1), "blocks_up", List.of(1, 1))));
        Trainer.Options options = Trainer.Options.of(new Loss.DiceCrossEntropy(1e-5f, false), OptimizerSpec.adam(1e-2),
                Precision.FP32, BATCH);
        try (Backend backend = Backends.cpu(2); Trainer trainer = new Trainer(model, options, backend)) {
            backend.enter();
            model.initialize(trainer.weights(), 4);
            double[] losses = train(trainer, 100, window, (labels, sample, ball) -> each(window, List.of(ball),
                    (at, inside) -> labels.setAtIndex(ValueLayout.JAVA_INT, (long) sample * voxels(window) + at,
                            inside ? 1 : 0)));
            assertTrue(losses[1] < 0.3 * losses[0], "the loss goes from " + losses[0] + " to " + losses[1]);
            List<Integer> volume = List.of(40, 30, 14);
            double dice = dice(model, trainer, volume, backend);
            assertTrue(dice > 0.85, "Dice " + dice);
        }
    }

    /** Twice what is in both, over the sum of what is in the ball and what was marked. */
    private static double dice(Model model, Trainer trainer, List<Integer> volume, Backend backend) {
        List<Ball> balls = List.of(new Ball(8, 8, 7, 4), new Ball(27, 19, 6, 5));
        long[] count = new long[3];
        try (Arena arena = Arena.ofConfined();
                VolumeInference inference = new VolumeInference(model, trainer.weights(),
                        1, 0.25, Precision.FP32, backend)) {
            MemorySegment scan = arena.allocate((long) voxels(volume) * Float.BYTES, 64);
            MemorySegment logits = arena.allocate(2L * voxels(volume) * Float.BYTES, 64);
            paint(scan, 0, volume, balls, 98);
            inference.segment(scan, volume, logits);
            each(volume, balls, (at, inside) -> {
                boolean marked = logits.getAtIndex(F32, 2 * at + 1) > logits.getAtIndex(F32, 2 * at);
                if (marked) count[0]++;
                if (inside) count[1]++;
                if (inside && marked) count[2]++;
            });
        }
        assertTrue(count[1] > 100 && count[1] < voxels(volume) / 2, "the balls take " + count[1] + " voxels");
        return 2.0 * count[2] / (count[0] + count[1]);
    }
}
