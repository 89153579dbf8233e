package isthmus.zoo;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.backend.Backend;
import isthmus.backend.BackendProvider;
import isthmus.backend.Backends;
import isthmus.backend.Precision;
import isthmus.detect.DetectionSettings;
import isthmus.detect.Detector;
import isthmus.nn.Model;
import isthmus.nn.Seeds;
import isthmus.tensor.Shape;
import isthmus.train.BatchSource;
import isthmus.train.Loss;
import isthmus.train.LossScaling;
import isthmus.train.OptimizerSpec;
import isthmus.train.SyntheticBatch;
import isthmus.train.Trainer;
import isthmus.train.UpdateRule;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * A short training of each network on the CUDA emulation, in float32 and in float16 with a dynamic loss scale: a few pictures
 * of noise are learnt by heart, beginning at the CPU's loss.
 */
class EmulatedTrainingTest {
    private static final int BATCH = 4;
    private static final int STEPS = 6;
    /** The default's first scale is found too large by the first steps, which learn nothing then. */
    private static final LossScaling SCALING = new LossScaling(64, 2, 0.5, 1000);

    /** A network with its loss and its batch, the same for all steps. */
    private record Work(Model model, Loss loss, BatchSource batch) {}

    @ParameterizedTest
    @CsvSource({"convnet2", "resnet34", "densenet121", "efficientnet_b0", "xraynet", "segresnet", "retinanet3d"})
    void lossesFallAsOnTheCpu(String name) {
        Optional<String> problem = Backends.all().stream().filter(p -> p.name().equals("cuda-emulated")).findFirst()
                .flatMap(BackendProvider::problem);
        problem.ifPresent(p -> System.out.println("EmulatedTrainingTest: not run: " + p));
        Assumptions.assumeTrue(problem.isEmpty(), "the emulation is not built");
        double[] cpu = losses(name, "cpu", Precision.FP32);
        double[] fp32 = losses(name, "cuda-emulated", Precision.FP32);
        double[] f16 = losses(name, "cuda-emulated", Precision.F16);
        System.out.printf("EmulatedTrainingTest: %s: losses %.4f to %.4f on the CPU, %.4f to %.4f in fp32, %.4f to %.4f"
                + " in f16%n", name, cpu[0], cpu[STEPS - 1], fp32[0], fp32[STEPS - 1], f16[0], f16[STEPS - 1]);
        assertEquals(cpu[0], fp32[0], 1e-4 * cpu[0], "first loss in fp32");
        assertEquals(cpu[0], f16[0], 5e-2 * cpu[0], "first loss in f16");
        for (double[] seen : List.of(fp32, f16))
            assertTrue(seen[STEPS - 1] < 0.97 * seen[0], "from " + seen[0] + " to " + seen[STEPS - 1]);
    }

    private static double[] losses(String name, String device, Precision precision) {
        Work work = work(name);
        UpdateRule adam = UpdateRule.of(OptimizerSpec.adam(1e-3)).with(SCALING);
        Trainer.Options options = new Trainer.Options(work.loss, adam, precision, BATCH, 1, 1);
        double[] losses = new double[STEPS];
        try (Backend backend = Backends.open(device, 2); Trainer trainer = new Trainer(work.model, options, backend)) {
            backend.enter();
            work.model.initialize(trainer.weights(), 3);
            trainer.begin(0, STEPS, 0);
            for (int i = 0; i < STEPS; i++)
                losses[i] = trainer.pass(work.batch, (b, n, samples, loss) -> {});
        }
        return losses;
    }

    private static Work work(String name) {
        if (name.equals("retinanet3d")) return detection();
        boolean volume = Zoo.takesVolumes(name);
        Shape image = volume ? Shape.of(1, 16, 16, 8) : Shape.of(1, 32, 32);
        ModelOptions options = name.equals("segresnet")
                ? ModelOptions.DEFAULT.with(
                        Map.of("init_filters", List.of(8), "blocks_down", List.of(1, 1), "blocks_up", List.of(1)))
                : ModelOptions.DEFAULT;
        Model model = Zoo.model(name, image, 2, options);
        Loss loss = volume ? new Loss.DiceCrossEntropy(1e-5f, true) : new Loss.BinaryCrossEntropy(List.of());
        return new Work(model, loss, SyntheticBatch.of(loss, BATCH, 2, 1));
    }

    /** A box in the middle of each volume. */
    private static Work detection() {
        Model model = Zoo.model("retinanet3d", Shape.of(1, 16, 16, 16), 1, ModelOptions.DEFAULT.with(Map.of("width",
                List.of(8), "pyramid", List.of(16), "blocks", List.of(1, 1, 1, 1), "anchors", List.of(1))));
        Detector detector = new Detector(model,
                DetectionSettings.LUNA16.with(List.of(List.of(8, 8, 8)), List.of(1, 2, 4)));
        return new Work(model, detector.loss(), new BatchSource() {
            @Override
            public int batchSize() { return BATCH; }

            @Override
            public int batches() { return 1; }

            @Override
            public int next(MemorySegment images, MemorySegment labels) {
                long key = Seeds.key(5, "volumes");
                for (long i = 0; i < images.byteSize() / Float.BYTES; i++)
                    images.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) Seeds.normal(key, i));
                for (int sample = 0; sample < BATCH; sample++)
                    assertTrue(detector.targets(labels, sample, new float[]{4, 4, 4, 12, 12, 12}, new int[]{0}, 1) > 0);
                return BATCH;
            }
        });
    }
}
