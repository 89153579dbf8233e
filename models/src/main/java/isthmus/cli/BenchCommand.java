package isthmus.cli;

import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Benchmarks of whole training steps. */
@picocli.CommandLine.Command(name = "bench", description = "Times training steps, ours alone or beside PyTorch's.", synopsisSubcommandLabel = "COMMAND", subcommands = {
        BenchTrainCommand.class, BenchCompareCommand.class, BenchLoaderCommand.class}, footer = {"",
                "Example: isthmus bench train --model resnet34 --batch 32 --precision amp"})
final class BenchCommand implements Runnable {
    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Show this help.")
    @SuppressWarnings("UnusedVariable") // picocli acts on it
    private boolean help;

    @Spec
    private CommandSpec spec;

    @Override
    public void run() { throw new CommandLine.ParameterException(spec.commandLine(), "say what to time"); }
}
