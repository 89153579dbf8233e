package isthmus.tensor;

import java.util.Arrays;
import java.util.stream.Collectors;

/**
 * A logical shape, outermost axis first: images are NCHW, volumes NCDHW, as the field writes them. Memory order is the
 * backend's affair (channels-last).
 */
public final class Shape {
    private final int[] dims;
    private final long elements;

    private Shape(int[] dims) {
        this.dims = dims;
        long n = 1;
        for (int d : dims) {
            if (d < 0) throw new IllegalArgumentException("shape " + Arrays.toString(dims) + " has a negative axis");
            n = Math.multiplyExact(n, d);
        }
        this.elements = n;
    }

    /** A shape of the given axes; none for a scalar. */
    public static Shape of(int... dims) {
        return new Shape(dims.clone());
    }

    /** Number of axes. */
    public int rank() { return dims.length; }

    /** Length of one axis; negative indices count from the end. */
    public int dim(int axis) {
        return dims[axis < 0 ? dims.length + axis : axis];
    }

    /** A copy of the axes. */
    public int[] dims() { return dims.clone(); }

    /** Product of all axes. */
    public long elements() { return elements; }

    /** Product of the axes from {@code first} on. */
    public long elementsFrom(int first) {
        long n = 1;
        for (int i = first; i < dims.length; i++)
            n *= dims[i];
        return n;
    }

    /** The same shape with another length of one axis. */
    public Shape with(int axis, int length) {
        int[] d = dims.clone();
        d[axis] = length;
        return new Shape(d);
    }

    @Override
    public boolean equals(Object other) { return other instanceof Shape s && Arrays.equals(dims, s.dims); }

    @Override
    public int hashCode() { return Arrays.hashCode(dims); }

    /** {@code 32x3x224x224}; {@code scalar} without axes. */
    @Override
    public String toString() {
        return dims.length == 0
                ? "scalar"
                : Arrays.stream(dims).mapToObj(Integer::toString).collect(Collectors.joining("x"));
    }
}
