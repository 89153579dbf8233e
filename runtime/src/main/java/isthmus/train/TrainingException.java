package isthmus.train;

/** Training that cannot go on; the text says at which step, why, and what to change. */
public final class TrainingException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    TrainingException(String message) { super(message); }
}
