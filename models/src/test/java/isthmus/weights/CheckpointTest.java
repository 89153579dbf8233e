package isthmus.weights;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Files that PyTorch and safetensors wrote come in number by number; what asks for more than tensors is refused by name. */
class CheckpointTest {
    private static final Map<String, Shape> SHAPES = shapes();

    @TempDir
    Path folder;

    private static Map<String, Shape> shapes() {
        Map<String, Shape> s = new LinkedHashMap<>();
        s.put("plain", Shape.of(2, 3, 4));
        s.put("half", Shape.of(5));
        s.put("brain", Shape.of(3, 2));
        s.put("double", Shape.of(2, 2));
        s.put("scalar", Shape.of());
        s.put("one", Shape.of(1, 1));
        s.put("transposed", Shape.of(3, 4));
        s.put("gaps", Shape.of(2, 3));
        s.put("parameter", Shape.of(4));
        s.put("first_view", Shape.of(2, 12));
        s.put("second_view", Shape.of(2, 3));
        s.put("expanded", Shape.of(1, 1));
        s.put("empty", Shape.of(0, 3));
        return s;
    }

    private static Map<String, StoredTensor> byName(Checkpoint c) {
        Map<String, StoredTensor> all = new LinkedHashMap<>();
        c.tensors().forEach(t -> all.put(t.name(), t));
        return all;
    }

    private static void assertTensor(StoredTensor t, Shape shape, Arena arena) {
        float[] expected = new float[(int) shape.elements()];
        for (int i = 0; i < expected.length; i++)
            expected[i] = i / 4f - 1;
        assertEquals(shape, t.shape(), t.name());
        assertArrayEquals(expected, Fixtures.values(t, arena), t.name());
    }

    @ParameterizedTest
    @CsvSource({"zip2.pth,PyTorch", "zip4.pth,PyTorch", "zip5.pth,PyTorch", "without_checksums.pth,PyTorch",
            "big_endian.pth,PyTorch", "legacy.pth,PyTorch before 1.6"})
    void everyFormOfPyTorchComesInExactly(String name, String format) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            Checkpoint c = Checkpoint.open(Fixtures.copy(name, folder), arena);
            assertEquals(format, c.format());
            Map<String, StoredTensor> all = byName(c);
            assertEquals(SHAPES.size() + 2, all.size(), "the tensors and two that are no floats: " + all.keySet());
            SHAPES.forEach((tensor, shape) -> assertTensor(all.get(tensor), shape, arena));
            assertEquals(DType.F16, all.get("half").type());
            assertEquals(DType.BF16, all.get("brain").type());
            assertEquals(DType.F64, all.get("double").type());
            assertEquals(DType.I64, all.get("long").type());
            assertEquals(DType.BOOL, all.get("flag").type());
            assertFalse(all.get("long").isFloat() || all.get("flag").isFloat());
            assertEquals(List.of(), c.notes());
        }
    }

    /** Python 2 texts, the older rebuilding function, and storages that are views of another. */
    @Test
    void readsWhatPyTorchWroteIn2017() throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            Map<String, StoredTensor> all = byName(Checkpoint.open(Fixtures.copy("before_0_4.pth", folder), arena));
            assertTensor(all.get("plain"), SHAPES.get("plain"), arena);
            assertTensor(all.get("second_view"), SHAPES.get("second_view"), arena);
            assertArrayEquals(new float[]{4.25f, 4.5f, 4.75f}, Fixtures.values(all.get("last"), arena));
        }
    }

    @Test
    void safetensorsOfAnyTypeComeIn() throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            Checkpoint c = Checkpoint.open(Fixtures.copy("tensors.safetensors", folder), arena);
            Map<String, StoredTensor> all = byName(c);
            assertEquals("safetensors", c.format());
            for (String tensor : List.of("plain", "half", "brain", "double", "scalar", "empty"))
                assertTensor(all.get(tensor), SHAPES.get(tensor), arena);
            assertEquals(DType.I64, all.get("long").type());
            assertEquals(8, all.size());
        }
    }

    @Test
    void aTrainingProgramsFileIsUnwrappedAndItSaysSo() throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            Checkpoint c = Checkpoint.open(Fixtures.copy("training.pth", folder), arena);
            assertEquals(List.of("took the dictionary 'model_state_dict'"), c.notes());
            assertTensor(byName(c).get("module.plain"), SHAPES.get("plain"), arena);
        }
    }

    /** The mapped file is what tensors are views of: nothing was copied. */
    @Test
    void tensorsAreViewsOfTheFile() throws IOException {
        Path file = Fixtures.copy("zip2.pth", folder);
        byte[] all = Files.readAllBytes(file);
        try (Arena arena = Arena.ofConfined()) {
            StoredTensor plain = byName(Checkpoint.open(file, arena)).get("plain");
            assertTrue(plain.bytes().isMapped() && plain.bytes().isReadOnly());
            assertEquals(96, plain.bytes().byteSize());
            assertTrue(all.length > 4000);
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {"asks_system.pth|posix.system", "asks_system_legacy.pth|posix.system",
            "asks_eval.pth|builtins.eval", "asks_namespace.pth|argparse.Namespace",
            "whole_module.pth|torch.nn.modules.linear.Linear", "a_set.pth|__builtin__.set",
            "sparse.pth|torch._utils._rebuild_sparse_tensor", "script.pt|TorchScript",
            "compressed.pth|is compressed", "one_tensor.pth|one tensor without a name", "a_list.pth|holds a list",
            "plain_pickle.pth|none that torch.save made"})
    void whatAsksForMoreThanTensorsIsRefusedByName(String name, String words) throws IOException {
        Fixtures.refused(Fixtures.copy(name, folder), words);
        assertFalse(Files.exists(Path.of("isthmus-was-here")) || Files.exists(folder.resolve("isthmus-was-here")));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {"<html><body>log in</body></html>|web page",
            "version https://git-lfs.github.com/spec/v1|Git LFS", "PK and then nothing that is a zip|no end record",
            "some text of a file that is none|none of the formats", "short|has 5 bytes"})
    void otherFilesAreRefusedWithTheCure(String content, String words) throws IOException {
        Path file = Files.write(folder.resolve("file.pth"), content.getBytes(StandardCharsets.UTF_8));
        Fixtures.refused(file, words);
    }

    @ParameterizedTest
    @ValueSource(strings = {"zip2.pth", "legacy.pth", "tensors.safetensors"})
    void aFileCutAnywhereIsRefused(String name) throws IOException {
        byte[] all = Fixtures.bytes(name);
        Path file = folder.resolve(name);
        for (int n = 0; n < all.length; n += all.length < 1000 ? 1 : 7) {
            Files.write(file, java.util.Arrays.copyOf(all, n));
            Fixtures.refused(file);
        }
    }

    @Test
    void aFlippedBitOfAWeightIsFoundByItsChecksum() throws IOException {
        byte[] all = Fixtures.bytes("zip2.pth");
        int at = indexOf(all, new byte[]{0, 0, (byte) 0x80, (byte) 0xbf, 0, 0, 0x40, (byte) 0xbf});
        all[at + 2] ^= 1;
        Fixtures.refused(Files.write(folder.resolve("flipped.pth"), all), "the checksum of the entry 'zip2/data/0'");
    }

    private static int indexOf(byte[] all, byte[] part) {
        for (int i = 0; i + part.length <= all.length; i++)
            if (java.util.Arrays.equals(all, i, i + part.length, part, 0, part.length)) return i;
        throw new AssertionError("not there");
    }
}
