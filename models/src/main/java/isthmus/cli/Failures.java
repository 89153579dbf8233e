package isthmus.cli;

import isthmus.data.DataException;
import isthmus.tensor.SafetensorsException;
import isthmus.weights.CheckpointException;
import isthmus.wire.RefusalException;
import java.io.IOException;
import java.net.ConnectException;
import java.nio.channels.UnresolvedAddressException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.NoSuchFileException;
import java.security.GeneralSecurityException;
import java.util.Set;
import javax.net.ssl.SSLException;
import tools.jackson.core.JacksonException;

/** Turns what was thrown into one message for people and an exit code. */
final class Failures {
    /** Refusals by our own strict reading of a file, before anything was sent. */
    private static final Set<String> LOCAL = Set.of("bad_json", "unknown_key", "bad_value", "too_large");

    private Failures() {}

    /** The exit code for a failure. */
    static int code(Throwable e) {
        if (e instanceof CliException c) return c.code();
        for (Throwable cause = e; cause != null; cause = cause.getCause()) {
            if (cause instanceof RefusalException r)
                return LOCAL.contains(r.refusal().error()) ? Exit.BAD_DATA : Exit.REFUSED;
            if (cause instanceof SSLException || cause instanceof GeneralSecurityException) return Exit.REFUSED;
            if (cause instanceof DataException || cause instanceof SafetensorsException
                    || cause instanceof CheckpointException
                    || cause instanceof JacksonException
                    || cause instanceof NoSuchFileException)
                return Exit.BAD_DATA;
        }
        return Exit.FAILED;
    }

    /** What was wrong, where, and the cure: our own texts as they are, the JDK's with what they leave out. */
    static String text(Throwable e) {
        for (Throwable cause = e; cause != null; cause = cause.getCause())
            if (cause instanceof DiscreetTrainer.FilmsException films) return text(films.getCause());
        return switch (e) {
            case NoSuchFileException f -> f.getFile() + ": there is no such file or folder; check the path";
            case AccessDeniedException f -> f.getFile() + ": this user may not open it; check owner and permissions";
            case FileAlreadyExistsException f -> f.getFile() + " is there already; name another, or remove it";
            case ConnectException f -> "the server does not answer (" + message(f)
                    + "); check that it runs, and host and port in the kit's connection.json";
            case UnresolvedAddressException f ->
                "the server's host name is not known here; check connection.json in the kit";
            case SSLException f -> "the secure connection was refused: " + message(f)
                    + "; check that this kit and the server's are of the same project and not expired";
            case OutOfMemoryError f -> "out of memory (" + message(f)
                    + "); allow more with ISTHMUS_JAVA_OPTS=-Xmx4g, or use smaller batches";
            case IOException f when f.getCause() != null && f.getMessage() != null
                    && f.getMessage().equals(f.getCause().toString()) ->
                text(f.getCause());
            default -> message(e);
        };
    }

    private static String message(Throwable e) {
        return e.getMessage() == null || e.getMessage().isBlank() ? e.getClass().getSimpleName() : e.getMessage();
    }
}
