package isthmus.weights;

import ai.onnx.proto.OnnxMl.TensorProto;
import com.google.protobuf.CodedInputStream;
import com.google.protobuf.UnsafeByteOperations;
import com.google.protobuf.WireFormat;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** One TensorProto while its fields come by: values may be raw bytes, or numbers in a field of their type. */
final class OnnxTensor {
    private static final int MAX_RANK = 16;
    private static final int MAX_NAME = 4096;

    private final MappedFile file;
    private final CodedInputStream in;
    private final List<Long> dims = new ArrayList<>();
    private String name = "";
    private int type;
    private boolean external;
    private MemorySegment values;
    private boolean varints;

    OnnxTensor(MappedFile file, CodedInputStream in) {
        this.file = file;
        this.in = in;
    }

    /** Takes a field that matters; false for any other. */
    boolean field(int tag) throws IOException {
        boolean block = WireFormat.getTagWireType(tag) == WireFormat.WIRETYPE_LENGTH_DELIMITED;
        switch (WireFormat.getTagFieldNumber(tag)) {
            case TensorProto.DIMS_FIELD_NUMBER -> dims(block);
            case TensorProto.DATA_TYPE_FIELD_NUMBER -> type = number(block);
            case TensorProto.NAME_FIELD_NUMBER -> name = text(block);
            case TensorProto.RAW_DATA_FIELD_NUMBER, TensorProto.FLOAT_DATA_FIELD_NUMBER,
                    TensorProto.DOUBLE_DATA_FIELD_NUMBER ->
                values(block, false);
            case TensorProto.INT32_DATA_FIELD_NUMBER -> values(block, true);
            case TensorProto.DATA_LOCATION_FIELD_NUMBER ->
                external = number(block) == TensorProto.DataLocation.EXTERNAL_VALUE;
            default -> {
                return false;
            }
        }
        return true;
    }

    private void dims(boolean packed) throws IOException {
        int outside = packed ? in.pushLimit(in.readRawVarint32()) : 0;
        do {
            if (dims.size() == MAX_RANK) throw new IOException("a tensor of more than " + MAX_RANK + " axes");
            dims.add(in.readInt64());
        } while (packed && !in.isAtEnd());
        if (packed) in.popLimit(outside);
    }

    private int number(boolean block) throws IOException {
        if (block) throw new IOException("a block where a number is due");
        return in.readInt32();
    }

    private String text(boolean block) throws IOException {
        if (!block) throw new IOException("a number where a name is due");
        int length = in.readRawVarint32();
        if (length < 0 || length > MAX_NAME) throw new IOException("a name of " + length + " bytes");
        return new String(in.readRawBytes(length), StandardCharsets.UTF_8);
    }

    private void values(boolean block, boolean asVarints) throws IOException {
        if (!block || values != null) throw new IOException("values in pieces");
        int length = in.readRawVarint32();
        int at = in.getTotalBytesRead();
        in.skipRawBytes(length);
        values = file.view(at, length);
        varints = asVarints;
    }

    String name() { return name; }

    boolean isExternal() { return external; }

    /** The element type if it is one that weights have, else null. */
    DType type() {
        return switch (type) {
            case TensorProto.DataType.FLOAT_VALUE -> DType.F32;
            case TensorProto.DataType.FLOAT16_VALUE -> DType.F16;
            case TensorProto.DataType.BFLOAT16_VALUE -> DType.BF16;
            case TensorProto.DataType.DOUBLE_VALUE -> DType.F64;
            default -> null;
        };
    }

    Shape shape() throws IOException {
        for (long d : dims)
            if (d < 0 || d > Integer.MAX_VALUE) throw new IOException(name + " has the size " + dims);
        try {
            return Shape.of(dims.stream().mapToInt(Long::intValue).toArray());
        } catch (ArithmeticException e) {
            throw new IOException(name + " has the size " + dims, e);
        }
    }

    /** The values, little-endian; halves that were written as whole numbers are unpacked into the arena. */
    MemorySegment values(Arena arena) throws IOException {
        if (values == null) return MemorySegment.NULL;
        return varints ? unpacked(arena) : values;
    }

    private MemorySegment unpacked(Arena arena) throws IOException {
        long elements = shape().elements();
        if (elements > values.byteSize()) throw new IOException(name + " has too few values for " + dims);
        MemorySegment out = arena.allocate(elements * Short.BYTES, Short.BYTES);
        CodedInputStream numbers = UnsafeByteOperations.unsafeWrap(values.asByteBuffer())
                .newCodedInput();
        var halves = ValueLayout.JAVA_SHORT.withOrder(ByteOrder.LITTLE_ENDIAN);
        for (long i = 0; i < elements; i++)
            out.setAtIndex(halves, i, (short) numbers.readInt32());
        return out;
    }
}
