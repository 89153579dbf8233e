package isthmus.op;

import java.util.Map;

/** What an op writes its ONNX form to. Attribute values are Long, Float, String, long[] or float[]. */
public interface OnnxEmitter {
    /** The node being written. */
    Node node();

    /** The ONNX name of input {@code i}. */
    String input(int i);

    /** Writes a node whose result is the op's first result. */
    void emit(String type, Map<String, Object> attributes, String... inputs);

    /** Writes a node and returns the name of its result, for forms of several nodes. */
    String step(String type, Map<String, Object> attributes, String... inputs);
}
