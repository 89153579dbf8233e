package isthmus.tensor;

/** A safetensors file or header that cannot be trusted; the text names the source and what is wrong with it. */
public final class SafetensorsException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    SafetensorsException(String message) { super(message); }

    SafetensorsException(String message, Throwable cause) { super(message, cause); }
}
