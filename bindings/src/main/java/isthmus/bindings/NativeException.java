package isthmus.bindings;

/**
 * A native call that did not succeed: which call, which status code, the library's own words, and what the caller was
 * about, outermost first.
 */
public final class NativeException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final String call;
    private final int status;
    private final String words;

    /**
     * Says that a call failed.
     *
     * @param call the C function
     * @param status what it returned
     * @param words the library's text for it
     */
    public NativeException(String call, int status, String words) {
        super(call + ": " + words + " (status " + status + ")");
        this.call = call;
        this.status = status;
        this.words = words;
    }

    private NativeException(String context, NativeException cause) {
        super(context + ": " + cause.getMessage(), cause);
        call = cause.call;
        status = cause.status;
        words = cause.words;
    }

    /** The same failure with what the caller was about in front: an op with its shapes, a file, a device. */
    public NativeException in(String context) {
        return new NativeException(context, this);
    }

    /** The C function that failed. */
    public String call() { return call; }

    /** The status code it returned. */
    public int status() { return status; }

    /** The library's own words. */
    public String words() { return words; }
}
