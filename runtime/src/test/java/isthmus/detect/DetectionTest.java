package isthmus.detect;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.backend.Precision;
import isthmus.backend.ReferenceBackend;
import isthmus.nn.Model;
import isthmus.op.DetectionLoss;
import isthmus.op.MapLayout;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** Properties and refusals of detection's parts; their numbers: {@link MonaiTest}. */
class DetectionTest {
    private static final MapLayout LAYOUT = new MapLayout(List.of(List.of(4, 3, 2), List.of(2, 2, 1)), 3, 2);

    private static String refusal(org.junit.jupiter.api.function.Executable what) {
        return assertThrows(IllegalArgumentException.class, what).getMessage();
    }

    /** Every place of the row belongs to one logit or one code of one anchor. */
    @Test
    void mapsHaveNoHoles() {
        Set<Integer> places = new HashSet<>();
        for (int anchor = 0; anchor < LAYOUT.total(); anchor++) {
            int step = LAYOUT.positions(LAYOUT.level(anchor));
            for (int k = 0; k < LAYOUT.classes(); k++)
                assertTrue(places.add(LAYOUT.classAt(anchor) + k * step));
            for (int k = 0; k < LAYOUT.codes(); k++)
                assertTrue(places.add(LAYOUT.codeAt(anchor) + k * step));
        }
        assertEquals(LAYOUT.length(), places.size());
        assertEquals(LAYOUT.length(), places.stream().mapToInt(Integer::intValue).max().orElseThrow() + 1);
    }

    @Test
    void theNetworkSaysItsOwnMaps() {
        for (int[] size : new int[][]{{64, 64, 32}, {50, 37, 21}}) {
            Model model = Zoo.model("retinanet3d", Shape.of(1, size[0], size[1], size[2]), 2, ModelOptions.DEFAULT
                    .with(Map.of("width", List.of(2), "pyramid", List.of(8), "returned_layers", List.of(1, 3))));
            assertEquals(model.maps().orElseThrow().length(), model.output().dim(0), model.maps().toString());
        }
        assertTrue(Zoo.model("segresnet", Shape.of(1, 16, 16, 16), 2, ModelOptions.DEFAULT).maps().isEmpty());
    }

    @Test
    void codesAreUndone() {
        BoxCoder coder = new BoxCoder(List.of(1.0, 2.0, 3.0, 1.0, 0.5, 2.0));
        float[] anchor = {1, 2, 3, 9, 7, 6};
        float[] box = {0.5f, 3, 2, 7.25f, 6, 11};
        float[] codes = new float[6];
        float[] back = new float[6];
        coder.encode(box, 0, anchor, 0, codes, 0);
        coder.decode(codes, 0, anchor, 0, back, 0);
        assertArrayEquals(box, back, 1e-5f);
    }

    /** Every voxel is covered, windows stay inside, and a short axis is centred. */
    @Test
    void windowsCover() {
        for (int length : new int[]{1, 7, 8, 9, 15, 16, 17, 40}) {
            for (double overlap : new double[]{0, 0.25, 0.6, 0.99}) {
                SlidingWindow windows = new SlidingWindow(List.of(3, length), List.of(3, 8), overlap);
                boolean[] covered = new boolean[length];
                for (int i = 0; i < windows.count(); i++) {
                    int start = windows.start(i, 1);
                    assertEquals(0, windows.start(i, 0));
                    assertTrue(length < 8 ? start == -((8 - length) / 2) : start >= 0 && start + 8 <= length);
                    Arrays.fill(covered, Math.max(0, start), Math.min(length, start + 8), true);
                }
                for (boolean c : covered)
                    assertTrue(c, "length " + length + ", overlap " + overlap);
            }
        }
    }

    /** A list that is used again gives the same, and equal scores stay in order. */
    @Test
    void suppressionIsStable() {
        Detections d = new Detections(1);
        for (int round = 0; round < 2; round++) {
            d.clear();
            for (int i = 0; i < 100; i++)
                d.add(new float[]{10 * i, 10 * i + 5}, 0, i % 3 == 0 ? 0.9f : 0.5f, 0);
            d.add(new float[]{0, 5}, 0, 0.9f, 0);
            d.add(new float[]{0, 5}, 0, 0.8f, 1);
            d.suppress(0.5f, 1000);
            assertEquals(101, d.size());
            for (int i = 0; i < 34; i++)
                assertEquals(30 * i, d.corner(i, false, 0));
            assertEquals(1, d.kind(34));
            assertEquals(10, d.corner(35, false, 0));
        }
    }

    @Test
    void refusals() {
        Model model = Zoo.model("retinanet3d", Shape.of(1, 32, 32, 16), 2, ModelOptions.DEFAULT
                .with(Map.of("width", List.of(2), "pyramid", List.of(8))));
        Detector detector = new Detector(model, DetectionSettings.LUNA16);
        MemorySegment labels = Arena.ofAuto().allocate(1 << 20);
        float[] flat = {1, 1, 1, 9, 1, 9};
        assertTrue(
                refusal(() -> detector.targets(labels, 0, flat, new int[]{0}, 1)).contains("box 0 reaches from 1.0"));
        float[] box = {1, 1, 1, 9, 9, 9};
        assertTrue(refusal(() -> detector.targets(labels, 0, box, new int[]{2}, 1)).contains("class 2"));
        assertTrue(refusal(() -> detector.targets(labels, 0, new float[6 * 40], new int[40], 40)).contains("40 boxes"));
        assertTrue(refusal(() -> new Detector(Zoo.model("segresnet", Shape.of(1, 16, 16, 16), 2, ModelOptions.DEFAULT),
                DetectionSettings.LUNA16)).contains("no maps of boxes"));
        assertTrue(refusal(() -> new Detector(model, DetectionSettings.LUNA16.with(List.of(List.of(8, 8, 8)),
                List.of(1, 2, 4)))).contains("do not fit maps"));
        assertTrue(refusal(() -> new SlidingWindow(List.of(8), List.of(8), 1)).contains("overlap 1.0"));
        assertTrue(refusal(() -> new DetectionLoss.Sampling(64, 0, 16, 20)).contains("positive fraction 0.0"));
    }

    @Test
    void windowsOfAModelOfOtherKindAreRefused() {
        Model model = Zoo.model("retinanet3d", Shape.of(1, 16, 16, 8), 1, ModelOptions.DEFAULT
                .with(Map.of("width", List.of(2), "pyramid", List.of(8), "blocks", List.of(1, 1))));
        try (Arena arena = Arena.ofConfined();
                ReferenceBackend backend = new ReferenceBackend();
                VolumeInference inference = new VolumeInference(model, WeightBuffer.allocate(model.table(), arena), 1,
                        0,
                        Precision.FP32, backend)) {
            MemorySegment volume = arena.allocate(ValueLayout.JAVA_FLOAT, 16 * 16 * 8);
            assertTrue(refusal(() -> inference.segment(volume, List.of(16, 16, 8), volume))
                    .contains("not logits at every position"));
            assertTrue(refusal(() -> inference.detect(volume, List.of(16, 16, 9), new Detector(model,
                    DetectionSettings.LUNA16), new Detections(3))).contains("2304 float32 values need 9216"));
        }
    }
}
