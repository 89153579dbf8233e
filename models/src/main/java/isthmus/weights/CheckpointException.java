package isthmus.weights;

/** A checkpoint that cannot be read or does not fit; the text names the file, what is wrong, and the way out. */
public final class CheckpointException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    CheckpointException(String message) { super(message); }

    CheckpointException(String message, Throwable cause) { super(message, cause); }
}
