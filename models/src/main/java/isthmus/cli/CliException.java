package isthmus.cli;

/** Ends a command: one message that says what, where, why and the cure, and the exit code. */
final class CliException extends RuntimeException {
    private static final long serialVersionUID = 1L;
    private final int code;

    CliException(int code, String message) { this(code, message, null); }

    CliException(int code, String message, Throwable cause) {
        super(message, cause);
        this.code = code;
    }

    int code() { return code; }
}
