package isthmus.weights;

import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.List;

/**
 * A tensor of a checkpoint, viewed where it lies in the mapped file: any element type, byte order, alignment and strides.
 *
 * @param strides distance in elements between neighbours along each axis; none is negative
 * @param bytes from the first element on, read-only; holds every element that shape and strides reach
 */
public record StoredTensor(String name, DType type, Shape shape, List<Long> strides, ByteOrder order,
        MemorySegment bytes) {
    public StoredTensor {
        strides = List.copyOf(strides);
        if (strides.size() != shape.rank())
            throw new IllegalArgumentException(name + ": " + strides.size() + " strides for the shape " + shape);
        long reach = reach(shape, strides);
        if (reach > bytes.byteSize() / type.bytes())
            throw new IllegalArgumentException(name + " " + shape + ", strides " + strides + ": reaches " + reach
                    + " elements of " + type + ", its storage has " + bytes.byteSize() / type.bytes());
    }

    /** A tensor without gaps, last axis innermost. */
    static StoredTensor packed(String name, DType type, Shape shape, ByteOrder order, MemorySegment bytes) {
        return new StoredTensor(name, type, shape, packed(shape), order, bytes);
    }

    private static List<Long> packed(Shape shape) {
        Long[] strides = new Long[shape.rank()];
        for (int i = 0; i < strides.length; i++)
            strides[i] = shape.elementsFrom(i + 1);
        return List.of(strides);
    }

    /** How many elements behind the first one are touched, the first included; throws if that is beyond counting. */
    static long reach(Shape shape, List<Long> strides) {
        if (shape.elements() == 0) return 0;
        long last = 0;
        for (int i = 0; i < shape.rank(); i++) {
            if (strides.get(i) < 0) throw new IllegalArgumentException("the stride " + strides.get(i) + " is negative");
            last = Math.addExact(last, Math.multiplyExact(strides.get(i), (long) shape.dim(i) - 1));
        }
        return Math.addExact(last, 1);
    }

    /** Whether the elements are numbers with a fraction, as weights are. */
    boolean isFloat() {
        return switch (type) {
            case F32, F16, BF16, F64 -> true;
            default -> false;
        };
    }

    /** The same tensor under another name. */
    StoredTensor named(String other) {
        return new StoredTensor(other, type, shape, strides, order, bytes);
    }

    /** Writes all elements as float32, last axis innermost, rounded to nearest; {@code out} has room for exactly these. */
    void copyTo(MemorySegment out) {
        if (type == DType.F32 && order == ByteOrder.nativeOrder() && strides.equals(packed(shape))) {
            MemorySegment.copy(bytes, 0, out, 0, shape.elements() * Float.BYTES);
            return;
        }
        Reader reader = reader();
        int axes = shape.rank();
        int run = axes == 0 ? 1 : shape.dim(axes - 1);
        long stride = axes == 0 ? 0 : strides.get(axes - 1);
        int[] at = new int[axes];
        for (long done = 0; done < shape.elements(); done += run) {
            long from = 0;
            for (int i = 0; i < axes - 1; i++)
                from += at[i] * strides.get(i);
            for (int i = 0; i < run; i++)
                out.setAtIndex(ValueLayout.JAVA_FLOAT, done + i, reader.read(from + i * stride));
            for (int i = axes - 2; i >= 0 && ++at[i] == shape.dim(i); i--)
                at[i] = 0;
        }
    }

    private interface Reader {
        float read(long element);
    }

    private Reader reader() {
        ValueLayout.OfShort halves = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(order);
        ValueLayout.OfFloat singles = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(order);
        ValueLayout.OfDouble doubles = ValueLayout.JAVA_DOUBLE_UNALIGNED.withOrder(order);
        return switch (type) {
            case F32 -> i -> bytes.getAtIndex(singles, i);
            case F16 -> i -> Float.float16ToFloat(bytes.getAtIndex(halves, i));
            case BF16 -> i -> Float.intBitsToFloat(bytes.getAtIndex(halves, i) << 16);
            case F64 -> i -> (float) bytes.getAtIndex(doubles, i);
            default -> throw new IllegalStateException(name + " is " + type + ", no weight");
        };
    }

    @Override
    public String toString() { return name + " " + shape; }
}
