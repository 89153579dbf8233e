package isthmus.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/** What is written comes back bit for bit and whole or not at all; what cannot be trusted is refused and changes nothing. */
class SafetensorsTest {
    private static final WeightTable TABLE = WeightTable.builder().add("conv.weight", Shape.of(4, 1, 3, 3),
            Region.TRAINABLE).add("running \"mean\" \u00b5\ud83e\ude7b", Shape.of(4), Region.STATISTICS)
            .add("embedding", Shape.of(2, 3), Region.FROZEN).add("scalar", Shape.of(), Region.TRAINABLE).build();
    private static final Map<String, String> METADATA = Map.of("round", "3", "note", "line\nbreak, \"quote\", \u00e9");

    @TempDir
    private Path folder;

    private final Arena arena = Arena.ofConfined();
    private Path file;
    private WeightBuffer weights;

    @BeforeEach
    void someWeights() {
        file = folder.resolve("w.safetensors");
        weights = filled(arena, TABLE, 1);
    }

    @AfterEach
    void close() { arena.close(); }

    /** Any float32 at all: NaNs with their bits, infinities, zeros of both signs. */
    private static WeightBuffer filled(Arena arena, WeightTable table, long seed) {
        WeightBuffer buffer = WeightBuffer.allocate(table, arena);
        SplittableRandom random = new SplittableRandom(seed);
        int[] odd = {0x7fc00001, 0xffffffff, 0x7f800000, 0xff800000, 0x80000000, 0, 1};
        for (int i = 0; i < table.elements(); i++)
            buffer.segment().setAtIndex(ValueLayout.JAVA_INT, i, i < odd.length ? odd[i] : random.nextInt());
        return buffer;
    }

    private byte[] written() throws IOException {
        Safetensors.write(file, weights, METADATA);
        return Files.readAllBytes(file);
    }

    /** A file of this header and so many bytes 0, 1, 2... of data. */
    private static byte[] bytes(String header, int dataBytes) {
        byte[] json = header.getBytes(StandardCharsets.UTF_8);
        ByteBuffer out = ByteBuffer.allocate(8 + json.length + dataBytes).order(ByteOrder.LITTLE_ENDIAN);
        out.putLong(json.length).put(json);
        for (int i = 0; i < dataBytes; i++)
            out.put((byte) i);
        return out.array();
    }

    private static String tensor(String name, String dtype, String shape, String offsets) {
        return '"' + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":[" + shape + "],\"data_offsets\":[" + offsets
                + "]}";
    }

    @Test
    void comesBackBitForBit() throws IOException {
        byte[] all = written();
        Safetensors.Header header = Safetensors.inspect(file);
        assertEquals(TABLE.digest(), header.table().digest());
        assertEquals(TABLE.entries(), header.table().entries());
        assertEquals(METADATA, header.metadata());
        assertEquals(0, header.dataOffset() % 64);
        assertEquals(header.dataOffset() + TABLE.bytes(), all.length);
        WeightBuffer back = WeightBuffer.allocate(TABLE, arena);
        assertEquals(METADATA, Safetensors.load(file, back));
        assertEquals(-1, weights.segment().mismatch(back.segment()));
        Safetensors.Mapped mapped = Safetensors.map(file, arena);
        assertEquals(-1, weights.segment().mismatch(mapped.weights().segment()));
        assertTrue(mapped.weights().segment().isReadOnly());
    }

    @Test
    void equalWeightsGiveEqualBytes() throws IOException {
        byte[] first = written();
        assertArrayEquals(first, written());
    }

    @Test
    void keepsRegions() throws IOException {
        written();
        WeightTable back = Safetensors.inspect(file).table();
        for (Region region : Region.values())
            assertEquals(TABLE.range(region), back.range(region));
        assertEquals(Region.FROZEN, back.entry("embedding").region());
        for (Region region : Region.values()) {
            WeightTable only = WeightTable.builder().add("w", Shape.of(3), region).build();
            Safetensors.write(file, filled(arena, only, 2), Map.of());
            assertEquals(region, Safetensors.inspect(file).table().entry("w").region());
        }
    }

    /** Files of other programs: any order in the header, no regions. The first tensor is the one that lies first. */
    @Test
    void readsForeignFiles() throws IOException {
        Files.write(file, bytes("{" + tensor("b", "F32", "2", "4,12") + ", " + tensor("a", "F32", "", "0,4") + "}  ",
                12));
        Safetensors.Header header = Safetensors.inspect(file);
        assertEquals(List.of("a", "b"), header.table().entries().stream().map(WeightTable.Entry::name).toList());
        assertEquals(12, header.table().range(Region.TRAINABLE).length() * Float.BYTES);
        WeightTable mine = WeightTable.builder().add("b", Shape.of(2), Region.TRAINABLE)
                .add("a", Shape.of(), Region.TRAINABLE).build();
        WeightBuffer into = WeightBuffer.allocate(mine, arena);
        Safetensors.load(file, into);
        assertArrayEquals(new byte[]{4, 5, 6, 7, 8, 9, 10, 11, 0, 1, 2, 3},
                into.segment().toArray(ValueLayout.JAVA_BYTE));
    }

    @Test
    void anotherModelsWeightsAreRefusedAndNothingIsLoaded() throws IOException {
        written();
        WeightTable other = WeightTable.builder().add("conv.weight", Shape.of(4, 1, 3, 4), Region.TRAINABLE)
                .add("scalar", Shape.of(), Region.TRAINABLE).build();
        WeightBuffer into = filled(arena, other, 3);
        String message = assertThrows(SafetensorsException.class, () -> Safetensors.load(file, into)).getMessage();
        assertTrue(message.contains(file + ": not the weights of this model")
                && message.contains("conv.weight is 4x1x3x3, expected 4x1x3x4"), message);
        assertEquals(-1, filled(arena, other, 3).segment().mismatch(into.segment()));
    }

    @Test
    void writingLeavesTheWholeFileAndNothingElse() throws IOException {
        Files.writeString(file, "what was there before, and longer than what comes now".repeat(100));
        byte[] all = written();
        assertEquals(TABLE.digest(), Safetensors.inspect(file).table().digest());
        assertEquals(List.of(file), list());
        Path deep = folder.resolve("not/there/yet.safetensors");
        Safetensors.write(deep, weights, METADATA);
        assertArrayEquals(all, Files.readAllBytes(deep));
    }

    /** A folder that is not empty cannot be replaced, so the last step fails. */
    @Test
    void aWriteThatFailsLeavesWhatWasThere() throws IOException {
        Files.createDirectories(file);
        Path inside = Files.writeString(file.resolve("kept"), "kept");
        assertThrows(IOException.class, () -> Safetensors.write(file, weights, METADATA));
        assertEquals("kept", Files.readString(inside));
        assertEquals(List.of(file), list());
    }

    private List<Path> list() throws IOException {
        try (Stream<Path> all = Files.list(folder)) {
            return all.toList();
        }
    }

    @Test
    void aFileCutAnywhereIsRefused() throws IOException {
        byte[] all = written();
        WeightBuffer into = filled(arena, TABLE, 4);
        byte[] before = into.segment().toArray(ValueLayout.JAVA_BYTE);
        for (int n = 0; n < all.length; n++) {
            Files.write(file, Arrays.copyOf(all, n));
            String message = assertThrows(SafetensorsException.class, () -> Safetensors.load(file, into),
                    "cut after " + n + " of " + all.length + " bytes").getMessage();
            assertTrue(message.startsWith(file + ": "), message);
        }
        Files.write(file, Arrays.copyOf(all, all.length + 1));
        assertThrows(SafetensorsException.class, () -> Safetensors.load(file, into), "one byte too many");
        assertArrayEquals(before, into.segment().toArray(ValueLayout.JAVA_BYTE));
    }

    /** Every outcome but a text or a valid read is a failure: another exception, an error, a crash of the process. */
    @Test
    void flippedBitsAreRefusedOrReadAsTheyStand() throws IOException {
        byte[] all = written();
        int dataOffset = (int) Safetensors.inspect(file).dataOffset();
        SplittableRandom random = new SplittableRandom(11);
        WeightBuffer into = WeightBuffer.allocate(TABLE, arena);
        int[] outcomes = new int[2];
        for (int round = 0; round < 4000; round++) {
            byte[] damaged = all.clone();
            int flips = 1 + random.nextInt(4);
            for (int i = 0; i < flips; i++) {
                int at = random.nextInt(round % 4 == 0 ? all.length : dataOffset);
                damaged[at] ^= (byte) (round % 2 == 0 ? 1 << random.nextInt(8) : 1 + random.nextInt(255));
            }
            Files.write(file, damaged);
            outcomes[outcome(into, damaged, dataOffset)]++;
        }
        assertTrue(outcomes[0] > 1000 && outcomes[1] > 100, outcomes[0] + " refused, " + outcomes[1] + " read");
    }

    private int outcome(WeightBuffer into, byte[] damaged, int dataOffset) throws IOException {
        try {
            Safetensors.load(file, into);
        } catch (SafetensorsException e) {
            assertTrue(e.getMessage().startsWith(file + ": "), e.getMessage());
            return 0;
        }
        MemorySegment data = MemorySegment.ofArray(damaged).asSlice(dataOffset);
        for (WeightTable.Entry e : Safetensors.inspect(file).table().entries())
            assertEquals(-1, data.asSlice(4 * e.offset(), 4 * e.elements()).mismatch(into.slice(e.name())), e.name());
        return 1;
    }

    @Test
    void refusesLengthsOfTheHeaderThatCannotBe() throws IOException {
        byte[] all = written();
        for (long length : new long[]{0, 1, -1, Long.MIN_VALUE, Long.MAX_VALUE, all.length - 7L, all.length,
                Safetensors.MAX_HEADER + 1L, 1L << 32}) {
            byte[] damaged = all.clone();
            ByteBuffer.wrap(damaged).order(ByteOrder.LITTLE_ENDIAN).putLong(0, length);
            Files.write(file, damaged);
            refused("header length " + length, () -> Safetensors.inspect(file));
        }
    }

    /** The file is long enough for what its header claims, so only the limit stands between it and the memory. */
    @Test
    void refusesAHeaderOverTheLimit() throws IOException {
        try (RandomAccessFile out = new RandomAccessFile(file.toFile(), "rw")) {
            out.write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(3L << 30).array());
            out.setLength(4L << 30); // sparse: takes no room
        }
        refused("header length 3221225472 is not within 2 and 16777216", () -> Safetensors.inspect(file));
    }

    /** The form in which a header comes over the wire. */
    @Test
    void checksAHeaderByItself() {
        byte[] header = Safetensors.header(TABLE, METADATA);
        assertEquals(TABLE.digest(), Safetensors.inspect("site-1", header, TABLE.bytes()).table().digest());
        refused("site-1: the header describes " + TABLE.bytes() + " bytes of data, there are 12",
                () -> Safetensors.inspect("site-1", header, 12));
        for (int n = 0; n < header.length; n++) {
            byte[] cut = Arrays.copyOf(header, n);
            refused("site-1: ", () -> Safetensors.inspect("site-1", cut, TABLE.bytes()));
            if (n < 8) continue;
            ByteBuffer.wrap(cut).order(ByteOrder.LITTLE_ENDIAN).putLong(0, n - 8L);
            if (new String(cut, 8, n - 8, StandardCharsets.UTF_8).strip().endsWith("}}")) continue; // only blanks were cut
            refused("site-1: ", () -> Safetensors.inspect("site-1", cut, TABLE.bytes()));
        }
    }

    private static void refused(String why, Executable call) {
        String message = assertThrows(SafetensorsException.class, call).getMessage();
        assertTrue(message.contains(why), message);
    }

    private void refused(String why, String header, int dataBytes) throws IOException {
        Files.write(file, bytes(header, dataBytes));
        refused(file + ": " + why, () -> Safetensors.inspect(file));
    }

    @Test
    void refusesDataThatIsNotFilledOnce() throws IOException {
        String a = tensor("a", "F32", "2", "0,8");
        refused("b 2 lies at 4 to 12, expected 8 bytes at 8", "{" + a + "," + tensor("b", "F32", "2", "4,12") + "}",
                12);
        refused("b 2 lies at 0 to 8, expected 8 bytes at 8", "{" + a + "," + tensor("b", "F32", "2", "0,8") + "}", 8);
        refused("b 2 lies at 12 to 20, expected 8 bytes at 8", "{" + a + "," + tensor("b", "F32", "2", "12,20") + "}",
                20);
        refused("a 2 lies at 4 to 12, expected 8 bytes at 0", "{" + tensor("a", "F32", "2", "4,12") + "}", 12);
        refused("a 2 lies at 0 to 4, expected 8 bytes at 0", "{" + tensor("a", "F32", "2", "0,4") + "}", 4);
        refused("a 2 lies at 8 to 0, expected 8 bytes at 0", "{" + tensor("a", "F32", "2", "8,0") + "}", 8);
        refused("the header describes 8 bytes of data, there are 9", "{" + a + "}", 9);
        refused("the header describes 8 bytes of data, there are 7", "{" + a + "}", 7);
        refused("a: -8 is negative", "{" + tensor("a", "F32", "2", "-8,0") + "}", 8);
        refused("no tensors", "{}", 0);
        refused("no tensors", "{\"__metadata__\":{\"a\":\"b\"}}", 0);
    }

    @Test
    void refusesTensorsThatAreNone() throws IOException {
        for (String dtype : List.of("F16", "BF16", "F64", "I64", "f32", "F99", ""))
            refused("a is " + dtype + "; only F32 is read", "{" + tensor("a", dtype, "2", "0,8") + "}", 8);
        refused("a: -2 is negative", "{" + tensor("a", "F32", "-2,-1", "0,8") + "}", 8);
        refused("weight a: shape 2x0 is empty", "{" + tensor("a", "F32", "2,0", "0,0") + "}", 0);
        refused("a: a list of more than 8 numbers", "{" + tensor("a", "F32", "1,1,1,1,1,1,1,1,2", "0,8") + "}", 8);
        refused("a: a list of more than 2 numbers", "{" + tensor("a", "F32", "2", "0,8,8") + "}", 8);
        refused("a: expected a whole number", "{" + tensor("a", "F32", "2.0", "0,8") + "}", 8);
        refused("a: expected a whole number", "{" + tensor("a", "F32", "\"2\"", "0,8") + "}", 8);
        refused("a: the shape [4294967298] is too large", "{" + tensor("a", "F32", "4294967298", "0,8") + "}", 8);
        refused("a: the shape [2147483647, 2147483647, 2147483647] is too large",
                "{" + tensor("a", "F32", "2147483647,2147483647,2147483647", "0,8") + "}", 8);
        String most = "2147483647,2147483647";
        refused("a: the shape [" + most.replace(",", ", ") + "] is too large",
                "{" + tensor("a", "F32", most, "0,8") + "}", 8);
        refused("a 2 lies at 0 to 9223372036854775807, expected 8 bytes at 0",
                "{" + tensor("a", "F32", "2", "0,9223372036854775807") + "}", 8);
        refused("the header is no JSON of the safetensors form",
                "{" + tensor("a", "F32", "2", "0,99999999999999999999") + "}", 8);
        String incomplete = "a needs a dtype, a shape and two data_offsets";
        refused(incomplete, "{" + tensor("a", "F32", "2", "0") + "}", 8);
        refused(incomplete, "{\"a\":{}}", 8);
        refused(incomplete, "{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8);
        refused(incomplete, "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8);
        refused(incomplete, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8);
        refused("a has an unknown key 'extra'", "{\"a\":{\"dtype\":\"F32\",\"extra\":1}}", 8);
    }

    @Test
    void refusesNamesGivenTwice() throws IOException {
        String a = tensor("a", "F32", "2", "0,8");
        String wrong = "the header is no JSON of the safetensors form: Duplicate";
        refused(wrong, "{" + a + "," + tensor("a", "F32", "2", "8,16") + "}", 16);
        refused(wrong, "{" + a.replace("\"shape\"", "\"dtype\":\"F32\",\"shape\"") + "}", 8);
        refused(wrong, "{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}," + a + "}", 8);
        refused("no weight may be called", "{" + tensor("a\\tb", "F32", "2", "0,8") + "}", 8);
        refused("a weight needs a name", "{" + tensor("", "F32", "2", "0,8") + "}", 8);
    }

    @Test
    void refusesTextThatIsNoHeader() throws IOException {
        String a = "{" + tensor("a", "F32", "2", "0,8");
        refused("expected START_OBJECT, found START_ARRAY", "[]", 0);
        refused("expected START_OBJECT, found VALUE_NUMBER_INT", "{\"a\":1}", 0);
        refused("expected VALUE_STRING, found VALUE_NUMBER_INT", "{\"__metadata__\":{\"k\":1}}", 0);
        refused("text after the header's end", a + "} {}", 8);
        refused("the header is no JSON", a, 8);
        refused("the header is no JSON", a + ",}", 8);
        refused("the header is no JSON", "{\"a\":{\"shape\":[NaN]}}", 0);
        refused("expected START_OBJECT, found null", "    ", 0);
        refused("a: expected a whole number", "{\"a\":{\"shape\":[[[[[[[[[", 0);
    }

    @Test
    void refusesRegionsThatDoNotFit() throws IOException {
        for (String regions : List.of("1 1 1", "0 1 0", "0 2", "2", "", "0 2 0 0", "-1 3 0", "0 2147483647 0",
                "1 2147483647 2", " 0 2 0"))
            refusedRegions("regions '" + regions + "' do not fit 2 tensors", regions);
        for (String regions : List.of("0 two 0", "0 2  0 ".strip(), "0 2 0x0"))
            refusedRegions("", regions);
    }

    private void refusedRegions(String why, String regions) throws IOException {
        refused(why, "{\"__metadata__\":{\"isthmus.regions\":\"" + regions + "\"},"
                + tensor("a", "F32", "2", "0,8") + "," + tensor("b", "F32", "1", "8,12") + "}", 12);
    }

    @Test
    void refusesTooManyTensors() {
        StringBuilder text = new StringBuilder("{");
        for (int i = 0; i <= 100_000; i++)
            text.append(i == 0 ? "" : ",").append(tensor("t" + i, "F32", "", 4L * i + "," + 4L * (i + 1)));
        byte[] header = bytes(text.append('}').toString(), 0);
        refused("wire: more than 100000 tensors", () -> Safetensors.inspect("wire", header, 400_004));
    }
}
