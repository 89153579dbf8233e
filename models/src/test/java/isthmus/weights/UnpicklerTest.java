package isthmus.weights;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.tensor.Shape;
import java.io.ByteArrayOutputStream;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The machine builds plain values and tensors inside of their storage; the rest of Python's pickles does not exist for it. */
class UnpicklerTest {
    private static final String STORAGE = "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0" + "0X\3\0\0\0cpuK\u0018tQ";

    /** Each char a byte. */
    private static Py load(String pickle) {
        MemorySegment bytes = MemorySegment.ofArray(pickle.getBytes(StandardCharsets.ISO_8859_1));
        return new Unpickler("x.pth", new PickleBytes("x.pth", bytes)).load();
    }

    private static String refused(String pickle) {
        String message = assertThrows(CheckpointException.class, () -> load(pickle)).getMessage();
        assertTrue(message.startsWith("x.pth: its pickle "), message);
        return message;
    }

    /** A tensor of a storage of 24 elements. */
    private static String tensor(int offset, String size, String stride) {
        return "\u0080\2ctorch._utils\n_rebuild_tensor_v2\n(" + STORAGE + "K" + (char) offset + "(" + size + "t("
                + stride
                + "t\u0089ccollections\nOrderedDict\n)RtR.";
    }

    @Test
    void plainValues() {
        assertEquals(new Py.Int(-2), load("\u0080\2J\u00fe\u00ff\u00ff\u00ff."));
        assertEquals(new Py.Int(1L << 40), load("\u008a\6\0\0\0\0\0\1."));
        assertEquals(new Py.Int(0), load("\u008a\0."));
        assertEquals(new Py.Real(1.5), load("G?\u00f8\0\0\0\0\0\0."));
        assertEquals(new Py.Tuple(List.of(new Py.Truth(true), new Py.None())), load("\u0088N\u0086."));
        Py.Items list = assertInstanceOf(Py.Items.class, load("](K\1K\2eK\3a."));
        assertEquals(3, list.values().size());
        Py.Dict dict = assertInstanceOf(Py.Dict.class, load("}(U\1aK\1K\2Nu."));
        assertEquals(new Py.Int(1), dict.values().get(new Py.Text("a")));
    }

    @Test
    void tensorsLieInsideTheirStorage() {
        Py.Tensor t = assertInstanceOf(Py.Tensor.class, load(tensor(0, "K\2K\3K\4", "K\14K\4K\1")));
        assertEquals(Shape.of(2, 3, 4), t.shape());
        assertEquals(List.of(12L, 4L, 1L), t.strides());
        assertTrue(refused(tensor(1, "K\2K\3K\4", "K\14K\4K\1")).contains("leaves its storage of 24 elements"));
        assertTrue(refused(tensor(0, "K\u0019", "K\1")).contains("leaves its storage"));
        assertTrue(refused(tensor(0, "K\3", "K\14")).contains("leaves its storage"));
        assertInstanceOf(Py.Tensor.class, load(tensor(0, "K\2", "K\14")));
        assertInstanceOf(Py.Tensor.class, load(tensor(24, "K\0", "K\1")));
        assertTrue(refused(tensor(25, "K\0", "K\1")).contains("leaves its storage"));
        assertTrue(refused(tensor(0, "J\u00ff\u00ff\u00ff\u00ff", "K\1")).contains("size [-1]"));
        assertTrue(refused(tensor(4, "K\2", "J\u00ff\u00ff\u00ff\u00ff")).contains("negative"));
        assertTrue(refused(tensor(0, "K\2K\2", "K\1")).contains("stride"));
        String huge = "\u008a\4\u00ff\u00ff\u00ff\u007f";
        assertTrue(refused(tensor(0, huge + huge + huge, "K\1K\1K\1")).contains("more elements than can be counted"));
        assertTrue(refused(tensor(0, "K\2", "\u008a\10\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u007f")).length() > 0);
        assertTrue(refused(tensor(0, "K\1".repeat(17), "K\1".repeat(17))).contains("a tensor of size"));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {"cos\\nsystem\\n.|os.system", "ios\\nsystem\\n.|os.system",
            "X\\2\\0\\0\\0osX\\6\\0\\0\\0system\\x93.|os.system", "c__builtin__\\neval\\n.|__builtin__.eval",
            "ctorch\\nFloatStorage\\n)R.|a storage that does not come from the file",
            "ccollections\\nOrderedDict\\n)\\x81.|instruction 81", "ccollections\\nOrderedDict\\n}b.|sets attributes",
            "K\\1)R.|calls a int", "}]K\\1s.|key that is a list", "]Q.|persistent id that is no storage",
            "ctorch.storage\\n_load_from_bytes\\n.|torch.storage._load_from_bytes", "C\\1a.|instruction 43",
            "\\x80\\1N.|protocol 1", "\\x8a\\x20.|whole number of 32 bytes", "h\\5.|never kept", ".|no value",
            "t.|never opened",
            "}(K\\1u.|sets 1 keys", "NK\\1a.|appends to a NoneType", "c a\\x1b[31m\\nb\\n.|a?[31m.b"})
    void theRestOfPythonIsRefusedByName(String pickle, String words) {
        String message = refused(unescaped(pickle));
        assertTrue(message.contains(words.equals("no value") ? "takes a value where there is none" : words), message);
    }

    private static String unescaped(String text) {
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < text.length(); i++) {
            if (text.charAt(i) != '\\') out.append(text.charAt(i));
            else if (text.charAt(i + 1) == 'n') {
                out.append('\n');
                i++;
            } else if (text.charAt(i + 1) == 'x') {
                out.append((char) Integer.parseInt(text.substring(i + 2, i + 4), 16));
                i += 3;
            } else {
                out.append((char) (text.charAt(i + 1) - '0'));
                i++;
            }
        }
        return out.toString();
    }

    @Test
    void endlessPicklesEnd() {
        byte[] many = new byte[Unpickler.MAX_INSTRUCTIONS + 10];
        Arrays.fill(many, (byte) 'N');
        var in = new PickleBytes("x.pth", MemorySegment.ofArray(many));
        String message = assertThrows(CheckpointException.class, () -> new Unpickler("x.pth", in).load()).getMessage();
        assertTrue(message.contains("more than 4000000 instructions"), message);
    }

    /** A list that holds itself, deep nesting, the same keys again and again: none of it costs more than it takes to say. */
    @Test
    void oddStructuresAreHarmless() {
        assertInstanceOf(Py.Items.class, load("]q\1h\1a."));
        assertInstanceOf(Py.Tuple.class, load(")" + "\u0085".repeat(1_000_000) + "."));
        var out = new ByteArrayOutputStream();
        out.writeBytes("}(".getBytes(StandardCharsets.ISO_8859_1));
        for (int i = 0; i < 100_000; i++) // all of one hash code
            out.writeBytes(("U\42" + sameHash(i) + "N").getBytes(StandardCharsets.ISO_8859_1));
        out.writeBytes("u.".getBytes(StandardCharsets.ISO_8859_1));
        Py.Dict dict = assertInstanceOf(Py.Dict.class, load(out.toString(StandardCharsets.ISO_8859_1)));
        assertEquals(100_000, dict.values().size());
    }

    /** "Aa" and "BB" have one hash code, so have all texts of them. */
    private static String sameHash(int number) {
        StringBuilder text = new StringBuilder();
        for (int bit = 0; bit < 17; bit++)
            text.append((number >> bit & 1) == 0 ? "Aa" : "BB");
        return text.toString();
    }
}
