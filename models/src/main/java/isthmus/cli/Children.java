package isthmus.cli;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * Isthmus commands as processes of their own, on the same Java as this one. They end with this object, with this process
 * however it ends, and their words are kept in a file each.
 */
final class Children implements AutoCloseable {
    /**
     * One process.
     *
     * @param out what it prints on standard output
     * @param log what it says on standard error
     */
    record Child(String name, Process process, Path out, Path log) {}

    private static final int TAIL = 15;
    private static final long GRACE_SECONDS = 8;
    private final List<Child> all = new ArrayList<>();
    private final Thread hook = new Thread(this::stop, "stop-children");
    private volatile boolean stopping;

    Children() { Runtime.getRuntime().addShutdownHook(hook); }

    /** Starts a command with its own heap limit; its words go to {@code NAME.out} and {@code NAME.log} in the folder. */
    synchronized Child start(String name, String heap, Path logs, List<String> arguments) throws IOException {
        if (stopping) throw new CliException(Exit.INTERRUPTED, "interrupted");
        List<String> command = new ArrayList<>(List.of(ProcessHandle.current().info().command().orElse("java")));
        for (String flag : ManagementFactory.getRuntimeMXBean().getInputArguments())
            if (inherited(flag)) command.add(flag);
        command.addAll(List.of("-Xmx" + heap, "-D" + ParentWatch.PROPERTY + "=" + ProcessHandle.current().pid(), "-cp",
                System.getProperty("java.class.path"), Main.class.getName()));
        command.addAll(arguments);
        Path out = logs.resolve(name + ".out");
        Path log = logs.resolve(name + ".log");
        Process process = new ProcessBuilder(command)
                .redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()))
                .redirectOutput(out.toFile()).redirectError(log.toFile()).start();
        Child child = new Child(name, process, out, log);
        all.add(child);
        return child;
    }

    /** Not this process's own size, agents, parent or terminal. */
    private static boolean inherited(String flag) {
        return !flag.startsWith("-Xm") && !flag.startsWith("-javaagent") && !flag.startsWith("-agentlib")
                && !flag.startsWith("-D" + ParentWatch.PROPERTY) && !flag.startsWith("-Disthmus.terminal")
                && !flag.startsWith("-Djava.class.path") && !flag.startsWith("-Djdk.module.");
    }

    /** Throws, with the last lines that it said, if one of the processes has ended with an error. */
    void check() {
        for (Child child : all) {
            if (child.process.isAlive() || child.process.exitValue() == Exit.OK) continue;
            int code = child.process.exitValue();
            if (stopping || code == Exit.INTERRUPTED) throw new CliException(Exit.INTERRUPTED, "interrupted");
            throw new CliException(code == Exit.BAD_DATA || code == Exit.REFUSED ? code : Exit.FAILED,
                    "process " + child.name + " ended with code " + code + "; its last words, from " + child.log
                            + ":\n" + tail(child.log));
        }
    }

    private static String tail(Path log) {
        try {
            List<String> lines = Files.readAllLines(log, StandardCharsets.UTF_8);
            return String.join("\n", lines.subList(Math.max(0, lines.size() - TAIL), lines.size()));
        } catch (IOException e) {
            return "(the log cannot be read: " + e.getMessage() + ")";
        }
    }

    /** Waits for processes that end by themselves. */
    void await(List<Child> children, long seconds) throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
        for (Child child : children)
            child.process.waitFor(Math.max(1, end - System.nanoTime()), TimeUnit.NANOSECONDS);
        check();
    }

    private void stop() {
        stopping = true;
        List<Child> living;
        synchronized (this) {
            living = all.stream().filter(c -> c.process.isAlive()).toList();
        }
        living.forEach(c -> c.process.destroy());
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(GRACE_SECONDS);
        for (Child child : living) {
            try {
                if (!child.process.waitFor(Math.max(1, end - System.nanoTime()), TimeUnit.NANOSECONDS))
                    child.process.destroyForcibly();
            } catch (InterruptedException e) {
                child.process.destroyForcibly();
                Thread.currentThread().interrupt();
            }
        }
    }

    @Override
    public void close() {
        stop();
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException e) {
            // The process is ending: the hook has run, or runs beside us.
            assert stopping;
        }
    }
}
