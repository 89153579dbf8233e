package isthmus.profile;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.backend.ReferenceBackend;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What is said of a plan without running it. */
class ExplanationTest {
    private static Explanation explain(String model, int batch, int size) {
        Workload usual = Workload.usual(model, "f16");
        Workload work = new Workload(model, batch, "f16", size, usual.channels(), usual.classes(), usual.optimizer());
        try (ReferenceBackend backend = new ReferenceBackend()) {
            return Explanation.of(work, "none", backend, Ceiling.H200);
        }
    }

    /** Counted here from our graph and elsewhere from PyTorch's modules: the same networks, nearly the same bytes. */
    @ParameterizedTest
    @CsvSource({"resnet34,256,224", "densenet121,256,224", "efficientnet_b0,256,224", "segresnet,4,96",
            "retinanet3d,4,192"})
    void levelsAreNearThePublishedOnes(String model, int batch, int size) {
        List<Explanation.LevelRow> levels = explain(model, batch, size).levels();
        for (Explanation.LevelRow l : levels) {
            assertEquals(1, l.megabytesPerSample() / l.publishedMegabytesPerSample(), 0.12, model + " " + l);
            assertEquals(1, l.samplesPerSecond() / l.publishedSamplesPerSecond(), 0.12, model + " " + l);
        }
        assertTrue(levels.get(0).megabytesPerSample() > levels.get(1).megabytesPerSample()
                && levels.get(1).megabytesPerSample() > levels.get(2).megabytesPerSample(), levels.toString());
    }

    /** Forward, data gradient and weight gradient; averaging before a convolution spares DenseNet's plan a tenth of them. */
    @Test
    void operationsAreThoseOfTheLiterature() {
        assertEquals(21.75, gflop("resnet34"), 0.1);
        assertEquals(16.8, gflop("densenet121"), 0.1);
        assertEquals(21.75, explain("resnet34", 2, 224).perSample().gflop(), 0.2);
        assertEquals(15.7, explain("densenet121", 2, 224).perSample().gflop(), 0.2);
    }

    private static double gflop(String model) {
        return FusionLevels.of(Workload.usual(model, "f16").network(), 2, Ceiling.H200).getFirst().flops() / 2e9;
    }

    @Test
    void sumsAreThoseOfTheRows() {
        Explanation e = explain("convnet2", 4, 32);
        assertEquals(e.bytes() + e.updateBytes(), e.rows().stream().mapToLong(Explanation.CallRow::bytes).sum());
        assertEquals(e.floor().seconds(), e.ops().stream().mapToDouble(Explanation.OpRow::floorMs).sum() / 1e3, 1e-12);
        assertEquals(1, e.ops().stream().mapToDouble(Explanation.OpRow::share).sum(), 1e-9);
        assertEquals(4 / e.floor().seconds(), e.floor().samplesPerSecond(), 1e-6);
    }

    /** A batch twice as large moves and computes twice as much, but for the weights; nothing of it is allocated. */
    @Test
    void planGrowsWithTheBatchAlone() {
        Explanation small = explain("densenet121", 32, 224);
        Explanation large = explain("densenet121", 4096, 224);
        assertEquals(1, large.bytes() / 128.0 / small.bytes(), 0.02);
        assertEquals(1, large.flops() / 128.0 / small.flops(), 0.02);
        assertTrue(large.arenaBytes() > Runtime.getRuntime().maxMemory(), "more than any machine of ours has");
    }
}
