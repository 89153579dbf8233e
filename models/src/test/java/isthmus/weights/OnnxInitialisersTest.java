package isthmus.weights;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.StringStringEntryProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import com.google.protobuf.ByteString;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Initialisers come in from raw bytes and from typed fields; what is not in the file is asked for clearly. */
class OnnxInitialisersTest {
    @TempDir
    Path folder;

    private static TensorProto.Builder tensor(String name, TensorProto.DataType type, long... dims) {
        TensorProto.Builder t = TensorProto.newBuilder().setName(name).setDataType(type.getNumber());
        for (long d : dims)
            t.addDims(d);
        return t;
    }

    private static float value(int i) { return i / 4f - 1; }

    static ModelProto model() {
        ByteBuffer raw = ByteBuffer.allocate(24).order(ByteOrder.LITTLE_ENDIAN);
        ByteBuffer halves = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
        TensorProto.Builder floats = tensor("typed", TensorProto.DataType.FLOAT, 5);
        TensorProto.Builder doubles = tensor("doubles", TensorProto.DataType.DOUBLE, 3);
        TensorProto.Builder packed = tensor("packed_halves", TensorProto.DataType.FLOAT16, 4);
        TensorProto.Builder brain = tensor("packed_brain", TensorProto.DataType.BFLOAT16, 4);
        for (int i = 0; i < 6; i++)
            raw.putFloat(value(i));
        for (int i = 0; i < 4; i++) {
            halves.putShort(Float.floatToFloat16(value(i)));
            packed.addInt32Data(Float.floatToFloat16(value(i)) & 0xFFFF);
            brain.addInt32Data(Float.floatToIntBits(value(i)) >>> 16);
        }
        for (int i = 0; i < 5; i++)
            floats.addFloatData(value(i));
        for (int i = 0; i < 3; i++)
            doubles.addDoubleData(value(i));
        GraphProto.Builder g = GraphProto.newBuilder().setName("g")
                .addNode(NodeProto.newBuilder().setOpType("Relu").addInput("x").addOutput("y"))
                .addInitializer(tensor("raw.weight", TensorProto.DataType.FLOAT, 2, 3)
                        .setRawData(ByteString.copyFrom(raw.array())))
                .addInitializer(floats).addInitializer(doubles).addInitializer(packed).addInitializer(brain)
                .addInitializer(tensor("halves", TensorProto.DataType.FLOAT16, 4)
                        .setRawData(ByteString.copyFrom(halves.array())))
                .addInitializer(tensor("shape", TensorProto.DataType.INT64, 2).addInt64Data(1).addInt64Data(-1))
                .addInitializer(tensor("one", TensorProto.DataType.FLOAT).addFloatData(-1));
        return ModelProto.newBuilder().setIrVersion(8).setProducerName("test").setGraph(g).build();
    }

    private Path written(ModelProto model) throws IOException {
        return Files.write(folder.resolve("m.onnx"), model.toByteArray());
    }

    @Test
    void everyWayToWriteFloatsIsRead() throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            Checkpoint c = Checkpoint.open(written(model()), arena);
            assertEquals("ONNX", c.format());
            assertEquals(List.of("raw.weight", "typed", "doubles", "packed_halves", "packed_brain", "halves", "one"),
                    c.tensors().stream().map(StoredTensor::name).collect(Collectors.toList()));
            for (StoredTensor t : c.tensors()) {
                float[] expected = new float[(int) t.shape().elements()];
                for (int i = 0; i < expected.length; i++)
                    expected[i] = value(i);
                assertArrayEquals(expected, Fixtures.values(t, arena), t.name());
            }
            assertEquals(Shape.of(2, 3), c.tensors().getFirst().shape());
            assertTrue(c.tensors().getFirst().bytes().isMapped(), "raw data is viewed, not copied");
            assertEquals(DType.F16, c.tensors().get(3).type());
            assertEquals(List.of("left out 1 initialisers that are no floating-point numbers"), c.notes());
        }
    }

    private static ModelProto with(TensorProto.Builder t) {
        return ModelProto.newBuilder().setIrVersion(8).setProducerName("a test, not an exporter")
                .setGraph(GraphProto.newBuilder().addInitializer(t)).build();
    }

    @Test
    void valuesInAnotherFileAreAskedFor() throws IOException {
        TensorProto.Builder t = tensor("fc.weight", TensorProto.DataType.FLOAT, 2)
                .setDataLocation(TensorProto.DataLocation.EXTERNAL)
                .addExternalData(StringStringEntryProto.newBuilder().setKey("location").setValue("w.bin"));
        Fixtures.refused(written(with(t)), "fc.weight in another file", "save_as_external_data=False");
    }

    @Test
    void tensorsThatDoNotAddUpAreRefused() throws IOException {
        Fixtures.refused(written(with(tensor("w", TensorProto.DataType.FLOAT, 3).addFloatData(1))), "w 3",
                "fetch the file again");
        Fixtures.refused(written(with(tensor("w", TensorProto.DataType.FLOAT16, 3).addInt32Data(1))), "too few values");
        Fixtures.refused(written(with(tensor("w", TensorProto.DataType.FLOAT, -1).addFloatData(1))), "size [-1]");
        long most = Integer.MAX_VALUE;
        Fixtures.refused(written(with(tensor("w", TensorProto.DataType.FLOAT, most, most, most))), "size [2147483647");
        Fixtures.refused(written(with(tensor("w", TensorProto.DataType.FLOAT, new long[17]))), "more than 16 axes");
        Fixtures.refused(written(with(tensor("w", TensorProto.DataType.FLOAT, 2))), "its storage has 0");
        ModelProto twice = ModelProto.newBuilder().setIrVersion(8)
                .setGraph(
                        GraphProto.newBuilder().addInitializer(tensor("w", TensorProto.DataType.FLOAT).addFloatData(1))
                                .addInitializer(tensor("w", TensorProto.DataType.FLOAT).addFloatData(1)))
                .build();
        Fixtures.refused(written(twice), "two initialisers 'w'");
        Fixtures.refused(written(ModelProto.newBuilder().setIrVersion(8).setProducerName("nobody at all").build()),
                "no initialisers");
    }

    @Test
    void aFileCutAnywhereIsRefusedOrShorter() throws IOException {
        byte[] whole = model().toByteArray();
        Path file = folder.resolve("cut.onnx");
        for (int n = 0; n < whole.length; n++) {
            Files.write(file, java.util.Arrays.copyOf(whole, n));
            Fixtures.refused(file);
        }
    }
}
