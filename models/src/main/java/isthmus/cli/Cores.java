package isthmus.cli;

import picocli.CommandLine.Option;

/** How many of the machine's cores a command computes with. */
final class Cores {
    @Option(names = "--threads", paramLabel = "N", description = "Cores to compute with. Default: all.")
    private int threads = Runtime.getRuntime().availableProcessors();

    @Option(names = "--force", description = "Take more threads than there are cores.")
    private boolean force;

    /** The number, or a refusal. */
    int threads() {
        int cores = Runtime.getRuntime().availableProcessors();
        if (threads < 1) throw new CliException(Exit.USAGE, "--threads is " + threads + "; it is 1 or more");
        if (threads > cores && !force)
            throw new CliException(Exit.USAGE, "--threads is " + threads + ", but this process has " + cores
                    + (cores == 1 ? " core" : " cores")
                    + ": threads that share a core wait for each other at the end of"
                    + " every kernel, and a step takes many times as long; use --threads " + cores
                    + ", or add --force to do it all the same");
        return threads;
    }
}
