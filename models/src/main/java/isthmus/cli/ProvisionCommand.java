package isthmus.cli;

import isthmus.provision.Project;
import isthmus.provision.Provisioner;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Makes a project's certificates and kits. */
@picocli.CommandLine.Command(name = "provision", description = "Makes a certificate authority and one kit each for the server, every"
        + " site and every administrator. Keys that are there are never overwritten: run it again to add a site.", footer = {
                "",
                "Example: isthmus provision kits --name lungs --host fl.example.org --sites north,south --admins anna",
                "Then give each participant its own folder, and nothing else, over a channel that you trust."})
final class ProvisionCommand extends Command {
    @Parameters(index = "0", paramLabel = "FOLDER", description = "Where the kits go; of a project that is there, for adding to it.")
    private Path folder;

    @Option(names = "--name", description = "The project's name; needed for a new project.")
    private String name;

    @Option(names = "--host", split = ",", description = "Names or addresses under which sites reach the server; the first is written"
            + " into the kits. Default: localhost.")
    private List<String> hosts;

    @Option(names = "--port", description = "The server's TCP port. Default: 8443.")
    private Integer port;

    @Option(names = "--sites", split = ",", description = "Names of the sites; for a project that is there, those to add.")
    private List<String> sites = List.of();

    @Option(names = "--admins", split = ",", description = "Names of the administrators. Default: admin.")
    private List<String> admins = List.of();

    @Option(names = "--days", description = "How long certificates are valid. Default: 365.")
    private Integer days;

    /** What was made. */
    record Report(String project, String folder, List<String> made, List<String> kept) {}

    @Override
    void run(Terminal terminal) throws Exception {
        Path file = folder.resolve(Provisioner.PROJECT);
        Project project = Files.exists(file) ? extended(Project.read(file)) : fresh();
        Provisioner.Result result = Provisioner.provision(project, folder);
        terminal.result(new Report(project.name(), folder.toString(), texts(result.made()), texts(result.kept())));
        for (Path kit : result.made())
            terminal.print("made  " + kit);
        for (Path kit : result.kept())
            terminal.print("kept  " + kit + " (untouched)");
        terminal.print("The CA's key in " + folder.resolve("ca") + " makes new kits: keep it off the network.");
    }

    private Project fresh() {
        if (name == null)
            throw new CliException(Exit.USAGE, folder + " holds no project yet; name the new one with --name");
        if (sites.isEmpty())
            throw new CliException(Exit.USAGE, "a project needs sites; name them: --sites north,south");
        try {
            return new Project(name, hosts == null ? List.of("localhost") : hosts, port == null ? 8443 : port, sites,
                    admins, days);
        } catch (IllegalArgumentException e) {
            throw new CliException(Exit.USAGE, e.getMessage(), e);
        }
    }

    /** The project that is there with more participants; what its certificates already say cannot change. */
    private Project extended(Project before) {
        if ((name != null && !name.equals(before.name())) || hosts != null || port != null || days != null)
            throw new CliException(Exit.USAGE, folder + " holds project " + before.name()
                    + " already; to it, sites and administrators"
                    + " can be added with --sites and --admins; name, host, port and days are fixed in its certificates");
        return new Project(before.name(), before.hosts(), before.port(), joined(before.sites(), sites),
                joined(before.admins(), admins),
                before.validDays());
    }

    private static List<String> joined(List<String> before, List<String> more) {
        return java.util.stream.Stream.concat(before.stream(), more.stream()).distinct().toList();
    }

    private static List<String> texts(List<Path> paths) { return paths.stream().map(Path::toString).toList(); }
}
