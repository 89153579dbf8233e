package isthmus.onnx;

import ai.onnx.proto.OnnxMl.TensorProto;
import com.google.protobuf.UnsafeByteOperations;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/** Makes float16 initialisers, and new float32 ones, in memory that lives until the file is written. */
final class HalfWeights {
    private static final ValueLayout.OfShort HALF = ValueLayout.JAVA_SHORT.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfFloat SINGLE = ValueLayout.JAVA_FLOAT_UNALIGNED
            .withOrder(ByteOrder.LITTLE_ENDIAN);

    private final Arena arena;

    HalfWeights(Arena arena) { this.arena = arena; }

    /** The values of a float32 initialiser, where they lie. */
    static MemorySegment values(TensorProto t) {
        return MemorySegment.ofBuffer(t.getRawData().asReadOnlyByteBuffer());
    }

    static float value(MemorySegment values, long i) { return values.getAtIndex(SINGLE, i); }

    /** Room for so many float32 values. */
    MemorySegment room(long elements) {
        return arena.allocate(elements * Float.BYTES, Float.BYTES);
    }

    static void set(MemorySegment room, long i, double value) { room.setAtIndex(SINGLE, i, (float) value); }

    /** A float32 initialiser. */
    static TensorProto single(String name, MemorySegment values, long... dims) {
        return tensor(name, TensorProto.DataType.FLOAT_VALUE, values, dims);
    }

    /** The same initialiser rounded to float16; a value that float16 cannot hold is an error that names it. */
    TensorProto half(TensorProto t) {
        MemorySegment from = values(t);
        long n = from.byteSize() / Float.BYTES;
        MemorySegment to = arena.allocate(Math.max(1, n * Short.BYTES), Short.BYTES).asSlice(0, n * Short.BYTES);
        for (long i = 0; i < n; i++) {
            float v = value(from, i);
            short h = Float.floatToFloat16(v);
            if (Float.isInfinite(Float.float16ToFloat(h)))
                throw new OnnxException(
                        "onnx: " + t.getName() + " holds " + v + ", beyond float16's largest number 65504;"
                                + " export with precision fp32");
            to.setAtIndex(HALF, i, h);
        }
        return tensor(t.getName(), TensorProto.DataType.FLOAT16_VALUE, to,
                t.getDimsList().stream().mapToLong(Long::longValue).toArray());
    }

    private static TensorProto tensor(String name, int type, MemorySegment values, long... dims) {
        TensorProto.Builder t = TensorProto.newBuilder().setName(name).setDataType(type)
                .setRawData(UnsafeByteOperations.unsafeWrap(values.asByteBuffer()));
        for (long d : dims)
            t.addDims(d);
        return t.build();
    }
}
