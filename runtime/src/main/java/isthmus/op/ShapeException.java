package isthmus.op;

import isthmus.tensor.Shape;

/** Inputs that an op cannot take; the text names the op, what it expected and what came. */
public final class ShapeException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** {@code op: message}. */
    public ShapeException(String op, String message) { super(op + ": " + message); }

    static void rank(String op, Shape shape, int... ranks) {
        for (int r : ranks)
            if (shape.rank() == r) return;
        throw new ShapeException(op,
                "the input is " + shape + "; expected " + java.util.Arrays.toString(ranks) + " axes");
    }

    static void same(String op, Shape a, Shape b) {
        if (!a.equals(b)) throw new ShapeException(op, "shapes differ: " + a + " and " + b);
    }

    static void require(boolean fits, String op, String message) { if (!fits) throw new ShapeException(op, message); }
}
