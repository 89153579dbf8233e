package isthmus.onnx;

/** A graph that cannot be written as ONNX; the text names op, place and the way out. */
public final class OnnxException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    OnnxException(String message) { super(message); }

    OnnxException(String message, Throwable cause) { super(message, cause); }
}
