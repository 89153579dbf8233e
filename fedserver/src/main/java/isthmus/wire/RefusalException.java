package isthmus.wire;

/** A {@link Refusal} on its way: thrown by the server's checks, and by {@link Link} when the server sent one. */
public final class RefusalException extends RuntimeException {
    private static final long serialVersionUID = 1;
    private final int status;
    private final transient Refusal refusal;

    /** @param status HTTP status that carries it: 4xx when the sender must change something */
    public RefusalException(int status, Refusal refusal) {
        super(refusal.toString());
        this.status = status;
        this.refusal = refusal;
    }

    /** A refusal with status 400: the request itself is wrong. */
    public static RefusalException bad(String error, String what, String where, String cure) {
        return new RefusalException(400, new Refusal(error, what, where, cure));
    }

    /** A refusal with status 409: the request is well formed but does not fit the present state. */
    public static RefusalException conflict(String error, String what, String where, String cure) {
        return new RefusalException(409, new Refusal(error, what, where, cure));
    }

    /** HTTP status. */
    public int status() { return status; }

    /** What was wrong, where, and the cure. */
    public Refusal refusal() { return refusal; }

    /** Whether this is the refusal of that short name. */
    public boolean is(String error) {
        return refusal.error().equals(error);
    }
}
