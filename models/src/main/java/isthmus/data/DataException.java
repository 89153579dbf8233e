package isthmus.data;

/** Says which file, line or column of the data cannot be used, what was found there, and what to do about it. */
public final class DataException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public DataException(String message) { super(message); }

    public DataException(String message, Throwable cause) { super(message, cause); }
}
