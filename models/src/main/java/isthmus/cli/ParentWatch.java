package isthmus.cli;

import java.util.Optional;

/** Ends this process when the one that started it ends, however that happened; the demo's children are born with it. */
final class ParentWatch {
    /** System property with the parent's process number. */
    static final String PROPERTY = "isthmus.parent";

    private ParentWatch() {}

    static void start() {
        Long parent = Long.getLong(PROPERTY);
        if (parent == null) return;
        Optional<ProcessHandle> handle = ProcessHandle.of(parent);
        if (handle.isEmpty()) Runtime.getRuntime().halt(Exit.FAILED);
        handle.get().onExit().thenRun(() -> Runtime.getRuntime().exit(Exit.FAILED));
    }
}
