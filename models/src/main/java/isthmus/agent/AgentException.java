package isthmus.agent;

/** Why a model file cannot be used or run; the text names the file and the way out. */
public final class AgentException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    AgentException(String message) { super(message); }

    AgentException(String message, Throwable cause) { super(message, cause); }
}
