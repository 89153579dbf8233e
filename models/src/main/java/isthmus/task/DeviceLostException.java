package isthmus.task;

/** The device that a run computed on is lost to this process; the text says what told, and what is safe. */
public final class DeviceLostException extends IllegalStateException {
    private static final long serialVersionUID = 1L;

    DeviceLostException(String message, Throwable cause) { super(message, cause); }
}
