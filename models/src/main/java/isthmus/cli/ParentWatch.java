package isthmus.cli;

/** Ends this process when the one that started it ends, however that happened; the demo's children are born with it. */
final class ParentWatch {
    /** System property with the parent's process number. */
    static final String PROPERTY = "isthmus.parent";

    private ParentWatch() {}

    static void start() {
        Long parent = Long.getLong(PROPERTY);
        if (parent == null) return;
        Thread.ofPlatform().daemon().name("parent-watch").start(() -> {
            // A parent that is gone already has no handle: then there is nothing to wait for.
            ProcessHandle.of(parent).ifPresent(p -> p.onExit().join());
            Runtime.getRuntime().exit(Exit.FAILED);
        });
    }
}
