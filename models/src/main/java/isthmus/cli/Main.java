package isthmus.cli;

import java.util.List;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** The command line: one small class a command. */
@Command(name = "isthmus", mixinStandardHelpOptions = false, description = "Trains medical-imaging models across hospitals; only"
        + " weights travel.", synopsisSubcommandLabel = "COMMAND", subcommands = {DemoCommand.class, TrainCommand.class,
                EvaluateCommand.class, ProvisionCommand.class, ServerCommand.class, SiteCommand.class,
                SubmitCommand.class, StatusCommand.class, ImportCommand.class, ExportCommand.class,
                InferCommand.class, DiagnoseCommand.class, ExperimentCommand.class, ExplainCommand.class,
                ProfileCommand.class,
                BenchCommand.class,
                DoctorCommand.class}, footer = {"",
                        "Example: isthmus demo", "Each command explains itself: isthmus COMMAND --help"})
public final class Main implements Runnable {
    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Show this help.")
    @SuppressWarnings("UnusedVariable") // picocli acts on it
    private boolean help;

    @Spec
    private CommandSpec spec;

    private Main() {}

    /** Runs one command and ends the process with its code. */
    public static void main(String[] args) {
        Logs.quiet();
        ParentWatch.start();
        System.exit(execute(args));
    }

    /** Runs one command. */
    static int execute(String... args) {
        try {
            return commandLine().execute(args);
        } catch (Error e) {
            // picocli hands on exceptions only; a missing library or too little memory deserves one line, too.
            if (List.of(args).contains("--trace")) e.printStackTrace();
            else
                System.err.println("isthmus: " + Failures.text(e));
            return Failures.code(e);
        }
    }

    static CommandLine commandLine() {
        var line = new CommandLine(new Main());
        line.setCaseInsensitiveEnumValuesAllowed(true);
        line.setExitCodeExceptionMapper(Failures::code);
        line.setParameterExceptionHandler((e, given) -> {
            CommandLine at = e.getCommandLine();
            at.getErr().println(at.getCommandSpec().qualifiedName() + ": " + e.getMessage());
            CommandLine.UnmatchedArgumentException.printSuggestions(e, at.getErr());
            at.getErr().println(at.getCommandSpec().qualifiedName() + " --help explains");
            return Exit.USAGE;
        });
        line.setExecutionExceptionHandler((e, at, parsed) -> {
            if (at.getCommand() instanceof isthmus.cli.Command c && c.trace()) e.printStackTrace(at.getErr());
            else
                at.getErr().println(at.getCommandSpec().qualifiedName() + ": " + Failures.text(e));
            return Failures.code(e);
        });
        describe(line);
        return line;
    }

    private static void describe(CommandLine line) {
        line.setUsageHelpWidth(100);
        var usage = line.getCommandSpec().usageMessage();
        usage.exitCodeListHeading("%nExit codes:%n");
        usage.exitCodeList(Exit.list());
        line.getSubcommands().values().forEach(Main::describe);
    }

    @Override
    public void run() { throw new CommandLine.ParameterException(spec.commandLine(), "say what to do"); }
}
