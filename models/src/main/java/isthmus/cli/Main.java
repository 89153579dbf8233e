package isthmus.cli;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** The command line: one small class a command. */
@Command(name = "isthmus", mixinStandardHelpOptions = false, description = "Trains medical-imaging models across hospitals; only"
        + " weights travel.", synopsisSubcommandLabel = "COMMAND", subcommands = {DemoCommand.class, TrainCommand.class, EvaluateCommand.class, ProvisionCommand.class, ServerCommand.class, SiteCommand.class, SubmitCommand.class, StatusCommand.class, ExportCommand.class, InferCommand.class, DoctorCommand.class}, footer = {"",
                "Example: isthmus demo", "Each command explains itself: isthmus COMMAND --help"})
public final class Main implements Runnable {
    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Show this help.")
    private boolean help;

    private Main() {}

    /** Runs one command and ends the process with its code. */
    public static void main(String[] args) {
        Logs.quiet();
        ParentWatch.start();
        System.exit(execute(args));
    }

    /** Runs one command. */
    static int execute(String... args) { return commandLine().execute(args); }

    static CommandLine commandLine() {
        var line = new CommandLine(new Main());
        line.setCaseInsensitiveEnumValuesAllowed(true);
        line.setExitCodeExceptionMapper(Failures::code);
        line.setExecutionExceptionHandler((e, at, parsed) -> {
            boolean trace = at.getCommand() instanceof isthmus.cli.Command c && c.trace();
            if (trace) e.printStackTrace(at.getErr());
            else at.getErr().println("isthmus " + at.getCommandName() + ": " + Failures.text(e));
            return Failures.code(e);
        });
        for (CommandLine each : line.getSubcommands().values()) describeExits(each);
        describeExits(line);
        return line;
    }

    private static void describeExits(CommandLine line) {
        var usage = line.getCommandSpec().usageMessage();
        usage.exitCodeListHeading("%nExit codes:%n");
        var codes = new java.util.LinkedHashMap<String, String>();
        for (String code : Exit.list()) codes.put(code.substring(0, code.indexOf(':')), code.substring(code.indexOf(':') + 1));
        usage.exitCodeList(codes);
        usage.width(100);
    }

    @Override
    public void run() {
        throw new CommandLine.ParameterException(new CommandLine(this), "say what to do; isthmus --help lists the commands");
    }
}
