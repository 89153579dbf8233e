package isthmus.cli;

import isthmus.task.CoreLease;
import isthmus.tensor.HostThreads;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import picocli.CommandLine.Option;

/** How many of the machine's cores a command computes with. */
final class Cores {
    @Option(names = "--threads", paramLabel = "N", description = "Cores to compute with. Default: all.")
    private int threads = Runtime.getRuntime().availableProcessors();

    @Option(names = "--force", description = "Take more threads than there are cores.")
    private boolean force;

    @Option(names = "--pin", description = "Keep each computing thread on a core of its own, which other commands of this user"
            + " that compute then leave to it.")
    private boolean pin;

    /** The number, or a refusal. With --pin this waits until as many cores are free. */
    int threads() {
        int cores = Runtime.getRuntime().availableProcessors();
        if (threads < 1) throw new CliException(Exit.USAGE, "--threads is " + threads + "; it is 1 or more");
        if (threads > cores && !force)
            throw new CliException(Exit.USAGE, "--threads is " + threads + ", but this process has " + cores
                    + (cores == 1 ? " core" : " cores")
                    + ": threads that share a core wait for each other at the end of"
                    + " every kernel, and a step takes many times as long; use --threads " + cores
                    + ", or add --force to do it all the same");
        if (pin) HostThreads.pin(free());
        return threads;
    }

    /** Whether threads are pinned. */
    boolean pinned() { return pin; }

    /** Cores that nobody computes on now; whoever computes takes a lease of just these again, and another may be before it. */
    private List<Integer> free() {
        try (CoreLease lease = CoreLease.acquire(threads)) {
            return lease.cores();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
