package isthmus.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Between plain float arrays in logical order (NCHW) and memory as programs have it (NHWC, float32, bf16 or f16). For tests,
 * small inputs and reports; hot paths write channels-last from the start.
 */
public final class ChannelsLast {
    private ChannelsLast() {}

    /** Writes logical values into channels-last memory. */
    public static void pack(float[] logical, Shape shape, DType type, MemorySegment memory) {
        each(shape, (from, to) -> put(memory, type, to, logical[from]));
    }

    /** Reads channels-last memory into logical order. */
    public static float[] unpack(MemorySegment memory, Shape shape, DType type) {
        float[] logical = new float[Math.toIntExact(shape.elements())];
        each(shape, (at, from) -> logical[at] = get(memory, type, from));
        return logical;
    }

    private interface Pair {
        void visit(int logical, int memory);
    }

    private static void each(Shape shape, Pair visitor) {
        int spatial = shape.rank() < 3 ? 1 : Math.toIntExact(shape.elementsFrom(2));
        int channels = shape.rank() < 2 ? 1 : shape.dim(1);
        int n = Math.toIntExact(shape.elements()) / (spatial * channels);
        for (int i = 0; i < n; i++) {
            for (int c = 0; c < channels; c++) {
                for (int s = 0; s < spatial; s++)
                    visitor.visit((i * channels + c) * spatial + s, (i * spatial + s) * channels + c);
            }
        }
    }

    private static void put(MemorySegment memory, DType type, long i, float v) {
        switch (type) {
            case F32 -> memory.setAtIndex(ValueLayout.JAVA_FLOAT, i, v);
            case BF16 -> memory.setAtIndex(ValueLayout.JAVA_SHORT, i, bf16(v));
            case F16 -> memory.setAtIndex(ValueLayout.JAVA_SHORT, i, Float.floatToFloat16(v));
            case I32 -> memory.setAtIndex(ValueLayout.JAVA_INT, i, (int) v);
            case U8 -> memory.set(ValueLayout.JAVA_BYTE, i, (byte) (int) v);
            default -> throw new IllegalArgumentException("no conversion to " + type);
        }
    }

    private static float get(MemorySegment memory, DType type, long i) {
        return switch (type) {
            case F32 -> memory.getAtIndex(ValueLayout.JAVA_FLOAT, i);
            case BF16 -> Float.intBitsToFloat(memory.getAtIndex(ValueLayout.JAVA_SHORT, i) << 16);
            case F16 -> Float.float16ToFloat(memory.getAtIndex(ValueLayout.JAVA_SHORT, i));
            case I32 -> memory.getAtIndex(ValueLayout.JAVA_INT, i);
            case U8 -> memory.get(ValueLayout.JAVA_BYTE, i) & 255;
            default -> throw new IllegalArgumentException("no conversion from " + type);
        };
    }

    /** Round to nearest, ties to even; NaN stays NaN. */
    private static short bf16(float v) {
        int bits = Float.floatToRawIntBits(v);
        if (Float.isNaN(v)) return (short) ((bits >>> 16) | 0x40);
        return (short) ((bits + 0x7FFF + ((bits >>> 16) & 1)) >>> 16);
    }
}
