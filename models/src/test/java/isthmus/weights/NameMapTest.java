package isthmus.weights;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** Old spellings are renewed and prefixes taken off where that makes the names the model's, and only there. */
class NameMapTest {
    private static final Set<String> DENSE = Set.of("features.conv0.weight",
            "features.denseblock1.denselayer1.norm1.weight", "features.denseblock1.denselayer1.conv1.weight",
            "features.denseblock1.denselayer1.norm2.running_var", "classifier.weight");

    private final List<String> notes = new ArrayList<>();

    private List<String> mapped(Set<String> wanted, String... names) {
        MemorySegment one = MemorySegment.ofArray(new byte[4]);
        List<StoredTensor> tensors = Arrays.stream(names)
                .map(n -> StoredTensor.packed(n, DType.F32, Shape.of(1), ByteOrder.LITTLE_ENDIAN, one)).toList();
        return NameMap.apply(new Checkpoint("x.pth", "test", tensors, List.of()), wanted, notes).stream()
                .map(StoredTensor::name).toList();
    }

    @Test
    void namesThatFitStay() {
        String[] names = DENSE.toArray(String[]::new);
        assertEquals(List.of(names), mapped(DENSE, names));
        assertEquals(List.of(), notes);
    }

    @Test
    void torchvisionsNamesOf2017AreRenewed() {
        assertEquals(DENSE, Set.copyOf(mapped(DENSE, "features.conv0.weight",
                "features.denseblock1.denselayer1.norm.1.weight", "features.denseblock1.denselayer1.conv.1.weight",
                "features.denseblock1.denselayer1.norm.2.running_var", "classifier.weight")));
        assertTrue(notes.getFirst().contains("3 names") && notes.getFirst().contains("2017"), notes.toString());
    }

    @Test
    void monaisNamesAreMapped() {
        assertEquals(DENSE, Set.copyOf(mapped(DENSE, "features.conv0.weight",
                "features.denseblock1.denselayer1.layers.norm1.weight",
                "features.denseblock1.denselayer1.layers.conv1.weight",
                "features.denseblock1.denselayer1.layers.norm2.running_var", "class_layers.out.weight")));
        assertTrue(notes.toString().contains("MONAI"), notes.toString());
    }

    @Test
    void prefixesOfSeveralPartsAreTakenOff() {
        assertEquals(DENSE, Set.copyOf(mapped(DENSE,
                DENSE.stream().map(n -> "module.densenet121." + n).toArray(String[]::new))));
        assertEquals(List.of("took 'module.densenet121.' off 5 names"), notes);
    }

    /** A block's own convolution has the stem's name once its place is taken off; that alone is no reason to do so. */
    @Test
    void aPrefixThatFitsFewNamesStays() {
        Set<String> wanted = Set.of("conv1.weight", "bn1.weight", "layer1.0.conv1.weight", "layer1.0.bn1.weight",
                "layer2.0.conv1.weight", "layer2.0.bn1.weight");
        List<String> names = List.of("layer1.0.conv1.weight", "layer1.0.bn1.weight", "layer1.0.bn1.bias");
        assertEquals(names, mapped(wanted, names.toArray(String[]::new)));
        assertEquals(List.of(), notes);
    }

    @Test
    void namesThatFallTogetherAreRefused() {
        String message = assertThrows(CheckpointException.class,
                () -> mapped(Set.of("a.w", "b.w"), "module.a.w", "module.b.w", "a.w")).getMessage();
        assertTrue(message.contains("two tensors would be called a.w"), message);
    }
}
