package isthmus.op;

import isthmus.tensor.Shape;

/** Shape and kind of a value. */
public record Spec(Shape shape, Kind kind) {
    /** A float32 value. */
    public static Spec ofFloat(int... dims) { return new Spec(Shape.of(dims), Kind.FLOAT); }

    /** The same kind with another shape. */
    public Spec with(Shape other) { return new Spec(other, kind); }
}
