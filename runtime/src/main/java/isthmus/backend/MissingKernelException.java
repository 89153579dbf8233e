package isthmus.backend;

import java.util.List;

/** A graph that a backend cannot run; the text lists every node without a kernel. */
public final class MissingKernelException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** For the given nodes. */
    public MissingKernelException(String backend, List<String> nodes) {
        super("the " + backend + " backend has no kernel for:\n  " + String.join("\n  ", nodes));
    }
}
