package isthmus.cli;

import java.util.concurrent.Callable;
import picocli.CommandLine.Option;

/** What every command has: {@code --json}, {@code --trace}, {@code --help}. */
abstract class Command implements Callable<Integer> {
    @Option(names = "--json", description = "Print the result as JSON on standard output; messages go to standard error.")
    private boolean json;

    @Option(names = "--trace", description = "Show the stack trace of a failure.")
    private boolean trace;

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Show this help.")
    @SuppressWarnings("UnusedVariable") // picocli acts on it
    private boolean help;

    final boolean trace() { return trace; }

    @Override
    public final Integer call() throws Exception {
        run(Terminal.ofProcess(json));
        return Exit.OK;
    }

    /** Does the work; throws to end with another code than 0. */
    abstract void run(Terminal terminal) throws Exception;
}
