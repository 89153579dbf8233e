package isthmus.graph;

/** A step that failed; the text names the op, its place in the network, the shapes and the library's own words. */
public final class ProgramException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    ProgramException(String message, Throwable cause) { super(message, cause); }
}
