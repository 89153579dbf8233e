package isthmus.weights;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.nn.Model;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import isthmus.tensor.WeightTable;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The body comes in bit for bit, stem and classifier are fitted, and a checkpoint of another model is refused with reasons. */
class WeightImportTest {
    private final Arena arena = Arena.ofConfined();

    @AfterEach
    void close() { arena.close(); }

    /** What PyTorch would save of a model with seeded weights. */
    private Checkpoint saved(String name, Shape image, int classes, UnaryOperator<String> rename) {
        WeightBuffer weights = weights(Zoo.model(name, image, classes, ModelOptions.DEFAULT));
        List<StoredTensor> tensors = new ArrayList<>();
        for (WeightTable.Entry e : weights.table().entries()) {
            tensors.add(StoredTensor.packed(rename.apply(e.name()), DType.F32, e.shape(), ByteOrder.nativeOrder(),
                    weights.slice(e)));
            if (e.name().endsWith("running_var"))
                tensors.add(tensor(rename.apply(e.name().replace("running_var", "num_batches_tracked")), DType.I64));
        }
        return new Checkpoint("net.pth", "test", tensors, List.of());
    }

    private WeightBuffer weights(Model model) {
        WeightBuffer weights = WeightBuffer.allocate(model.table(), arena);
        model.initialize(weights, 7);
        return weights;
    }

    private StoredTensor tensor(String name, DType type, int... dims) {
        Shape shape = Shape.of(dims);
        return StoredTensor.packed(name, type, shape, ByteOrder.nativeOrder(), arena.allocate(shape.elements() * 8, 8));
    }

    private static Checkpoint with(Checkpoint c, StoredTensor... more) {
        List<StoredTensor> all = new ArrayList<>(c.tensors());
        all.addAll(List.of(more));
        return new Checkpoint(c.source(), c.format(), all, c.notes());
    }

    private static Checkpoint without(Checkpoint c, String start) {
        return new Checkpoint(c.source(), c.format(),
                c.tensors().stream().filter(t -> !t.name().startsWith(start)).toList(),
                c.notes());
    }

    private static WeightImport.Request request(String model, int side, int channels, int classes) {
        return new WeightImport.Request(model, ModelOptions.DEFAULT, Shape.of(side, side),
                channels == 0 ? OptionalInt.empty() : OptionalInt.of(channels),
                classes == 0 ? OptionalInt.empty() : OptionalInt.of(classes), 1);
    }

    private static float[] values(WeightBuffer w, String name) { return w.slice(name).toArray(ValueLayout.JAVA_FLOAT); }

    @Test
    void whatFitsComesInAsItIs() {
        Checkpoint from = saved("resnet34", Shape.of(3, 32, 32), 5, n -> n);
        WeightImport.Imported in = WeightImport.run(from, request("resnet34", 32, 0, 0), arena);
        assertEquals(-1, weights(in.model()).segment().mismatch(in.weights().segment()));
        assertEquals(Shape.of(3, 32, 32), in.model().image());
        assertEquals(5, in.model().classes());
        ImportReport r = in.report();
        assertEquals(in.model().table().entries().size(), r.matched());
        assertEquals(36, r.ignored());
        assertTrue(r.adapted().isEmpty() && r.dropped().isEmpty() && r.missing().isEmpty() && r.notes().isEmpty());
    }

    @Test
    void prefixesAreTakenOffAndItSaysSo() {
        Checkpoint from = saved("resnet34", Shape.of(3, 32, 32), 5, n -> "module." + n);
        ImportReport r = WeightImport.run(from, request("resnet34", 32, 0, 0), arena).report();
        assertEquals(List.of("took 'module.' off 218 names"), r.notes());
        assertEquals(36, r.ignored());
    }

    @Test
    void colourStemsAreSummedForGreyPictures() {
        Checkpoint from = saved("convnet2", Shape.of(3, 8, 8), 2, n -> n);
        WeightImport.Imported in = WeightImport.run(from, request("convnet2", 8, 1, 0), arena);
        float[] rgb = values(weights(Zoo.model("convnet2", Shape.of(3, 8, 8), 2, ModelOptions.DEFAULT)),
                "conv1.weight");
        float[] grey = values(in.weights(), "conv1.weight");
        for (int o = 0; o < 32; o++)
            for (int k = 0; k < 9; k++)
                assertEquals((double) rgb[o * 27 + k] + rgb[o * 27 + 9 + k] + rgb[o * 27 + 18 + k], grey[o * 9 + k],
                        1e-7);
        assertEquals(List.of(new ImportReport.Adapted("conv1.weight", "32x3x3x3", "32x1x3x3", "summed over RGB")),
                in.report().adapted());
        assertEquals(in.model().table().entries().size() - 1, in.report().matched());
    }

    @Test
    void greyStemsAreSpreadOverColours() {
        Checkpoint from = saved("convnet2", Shape.of(1, 8, 8), 2, n -> n);
        WeightImport.Imported in = WeightImport.run(from, request("convnet2", 8, 3, 0), arena);
        float[] grey = values(weights(Zoo.model("convnet2", Shape.of(1, 8, 8), 2, ModelOptions.DEFAULT)),
                "conv1.weight");
        float[] rgb = values(in.weights(), "conv1.weight");
        for (int i = 0; i < rgb.length; i++)
            assertEquals(grey[i / 27 * 9 + i % 9] / 3, rgb[i]);
    }

    @Test
    void aClassifierOfAnotherSizeStartsAnew() {
        Checkpoint from = saved("resnet34", Shape.of(3, 32, 32), 1000, n -> n);
        WeightImport.Imported in = WeightImport.run(from, request("resnet34", 32, 3, 14), arena);
        WeightBuffer initial = WeightBuffer.allocate(in.model().table(), arena);
        in.model().initialize(initial, 1);
        assertArrayEquals(values(initial, "fc.weight"), values(in.weights(), "fc.weight"));
        assertArrayEquals(values(initial, "fc.bias"), values(in.weights(), "fc.bias"));
        assertEquals(List.of("fc.weight 1000x512", "fc.bias 1000"),
                in.report().dropped().stream().map(d -> d.name() + " " + d.shape()).toList());
        assertEquals(List.of("fc.weight 14x512", "fc.bias 14"),
                in.report().missing().stream().map(d -> d.name() + " " + d.shape()).toList());
    }

    /** A classifier of several layers in place of the one, another head, and no classifier at all. */
    @Test
    void whatLiesBesideTheBodyIsDroppedByName() {
        Checkpoint body = without(saved("resnet34", Shape.of(3, 32, 32), 3, n -> n), "fc.");
        Checkpoint other = with(body, tensor("fc.0.weight", DType.F32, 64, 512),
                tensor("fc.3.weight", DType.F32, 2, 64),
                tensor("aux.weight", DType.F32, 4));
        ImportReport r = WeightImport.run(other, request("resnet34", 32, 3, 2), arena).report();
        assertEquals(List.of("fc.0.weight", "fc.3.weight", "aux.weight"),
                r.dropped().stream().map(ImportReport.Dropped::name).toList());
        assertEquals(List.of("fc.weight", "fc.bias"), r.missing().stream().map(ImportReport.Missing::name).toList());
        String message = refused(body, request("resnet34", 32, 3, 0));
        assertTrue(message.contains("--classes"), message);
        assertEquals(2, WeightImport.run(body, request("resnet34", 32, 3, 2), arena).report().missing().size());
    }

    private String refused(Checkpoint from, WeightImport.Request request) {
        String message = assertThrows(CheckpointException.class, () -> WeightImport.run(from, request, arena))
                .getMessage();
        assertTrue(message.startsWith("net.pth: "), message);
        return message;
    }

    @Test
    void anotherModelsCheckpointIsRefusedWithTheFirstDifferences() {
        String message = refused(saved("xraynet", Shape.of(1, 32, 32), 2, n -> n), request("resnet34", 32, 1, 2));
        assertTrue(message.contains("conv1.weight: the model has 64x1x7x7, the file nothing"), message);
        assertTrue(message.contains("input.weight: the model has nothing, the file 1\n"), message);
        assertTrue(message.contains("try --model xraynet") && message.endsWith("nothing was written"), message);
    }

    @Test
    void shapesThatDifferAreNamedOnBothSides() {
        String message = refused(saved("convnet2", Shape.of(1, 8, 8), 2, n -> n), request("convnet2", 16, 1, 2));
        assertTrue(message.contains("1 tensor differs\n  fc1.weight: the model has 128x1024, the file 128x256\n"),
                message);
        assertTrue(message.contains("--size"), message);
    }

    /** A deeper network of the same family has all our names and more: it is another network. */
    @Test
    void aLargerNetworkOfTheSameKindIsRefused() {
        Checkpoint larger = with(saved("resnet34", Shape.of(3, 32, 32), 2, n -> n),
                tensor("layer3.6.conv1.weight", DType.F32, 256, 256, 3, 3));
        String message = refused(larger, request("resnet34", 32, 3, 2));
        assertTrue(message.contains("layer3.6.conv1.weight: the model has nothing, the file 256x256x3x3"), message);
        assertTrue(message.contains("smaller or larger network"), message);
    }

    @Test
    void weightsThatAreNoNumbersAreRefused() {
        Checkpoint from = saved("convnet2", Shape.of(1, 8, 8), 2, n -> n);
        from.tensors().getFirst().bytes().setAtIndex(ValueLayout.JAVA_FLOAT, 3, Float.NaN);
        assertTrue(
                refused(from, request("convnet2", 8, 1, 2)).contains("1 of 288 values of conv1.weight are not finite"));
        Checkpoint whole = with(without(saved("convnet2", Shape.of(1, 8, 8), 2, n -> n), "fc1.bias"),
                tensor("fc1.bias", DType.I64, 128));
        assertTrue(
                refused(whole, request("convnet2", 8, 1, 2)).contains("fc1.bias: the model has 128, the file 128 I64"));
    }

    @Test
    void renamedOnnxWeightsAreExplained() {
        Checkpoint from = saved("convnet2", Shape.of(1, 8, 8), 2, n -> "onnx::Conv_" + n.hashCode());
        assertTrue(refused(from, request("convnet2", 8, 1, 2)).contains("do_constant_folding=False"));
    }
}
