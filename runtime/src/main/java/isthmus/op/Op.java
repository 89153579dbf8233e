package isthmus.op;

import java.util.List;

/** What a node computes. Implementations are records: equal attributes, equal op. */
public interface Op {
    /** The op's name as the reference cases and error messages use it, such as {@code max_pool}. */
    String name();

    /** Shapes and kinds of the results; throws {@link ShapeException} when the inputs do not fit. */
    List<Spec> infer(List<Spec> inputs);

    /**
     * Adds the ops that carry the gradient back, asking {@link Backward#wants} so that nothing useless is computed.
     * Ops of the backward pass have no derivative of their own.
     */
    default void gradient(Backward backward) {
        throw new UnsupportedOperationException(name() + " has no derivative");
    }

    /** Writes the op as ONNX nodes. Only ops of inference graphs have this form. */
    default void onnx(OnnxEmitter onnx) {
        throw new UnsupportedOperationException(name() + " has no ONNX form: it belongs to training");
    }

    /** Computes the results naively in plain Java, row-major over the logical shapes. */
    void reference(Reference r);

    /**
     * Arithmetic operations of one run, multiplications and additions counted apart, as the field counts them: padding is
     * computed with. Elementwise ops count as one operation a result.
     */
    default long flops(List<Spec> inputs, List<Spec> outputs) {
        return outputs.stream().mapToLong(s -> s.shape().elements()).max().orElse(0);
    }

    /** Whether input {@code i} must be read at all; some options need less than the op's signature has. */
    default boolean reads(int i) {
        return true;
    }

    /** How often input {@code i} is read from memory where it is larger than caches: twice if sums over it come first. */
    default int readings(int i) {
        return reads(i) ? 1 : 0;
    }

    /** Whether the result is the input's memory under another shape, given that both have one element type. */
    default boolean isView(List<Spec> inputs) {
        return false;
    }
}
