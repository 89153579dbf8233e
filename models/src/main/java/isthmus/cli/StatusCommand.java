package isthmus.cli;

import isthmus.admin.AdminClient;
import isthmus.report.TextTable;
import isthmus.wire.JobList;
import isthmus.wire.JobStatus;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Shows jobs; watches, ends or fetches one. */
@picocli.CommandLine.Command(name = "status", description = "Shows all jobs of a server, or one of them.", footer = {"",
        "Example: isthmus status --kit kits/admins/admin",
        "         isthmus status --kit kits/admins/admin pneumonia-1 --follow",
        "         isthmus status --kit kits/admins/admin pneumonia-1 --fetch best --to best.safetensors"})
final class StatusCommand extends Command {
    @ArgGroup(exclusive = false, multiplicity = "1")
    private AdminOptions admin;

    @Parameters(index = "0", arity = "0..1", paramLabel = "JOB", description = "A job's identity. Default: list all.")
    private String job;

    @Option(names = "--follow", description = "Watch the job to its end.")
    private boolean follow;

    @Option(names = "--abort", description = "End the job now; its best and last model stay.")
    private boolean abort;

    @Option(names = "--fetch", paramLabel = "WHICH", description = "Fetch the job's model: best or last.")
    private String fetch;

    @Option(names = "--to", paramLabel = "FILE", description = "Where the fetched model goes. Default: WHICH.safetensors here.")
    private Path to;

    @Override
    void run(Terminal terminal) throws Exception {
        if (job == null && (follow || abort || fetch != null))
            throw new CliException(Exit.USAGE, "name the job: isthmus status --kit DIR JOB");
        if (fetch != null && !List.of("best", "last").contains(fetch))
            throw new CliException(Exit.USAGE, "--fetch " + fetch + ": a job has two models, best and last");
        try (AdminClient client = admin.open()) {
            if (job == null) list(terminal, client.list());
            else if (abort) {
                client.abort(job);
                terminal.print("job " + job + " is aborted");
            } else if (fetch != null) {
                Path file = to == null ? Path.of(fetch + ".safetensors") : to;
                client.download(job, fetch, file);
                terminal.print(file + " holds the " + fetch + " model of job " + job);
            } else if (follow) SubmitCommand.follow(terminal, client, job);
            else
                one(terminal, client.status(job, 0));
        }
    }

    private static void list(Terminal terminal, JobList jobs) {
        terminal.result(jobs);
        var table = new TextTable(List.of("job", "state", "phase", "round"), 8);
        for (JobList.Line line : jobs.jobs())
            table.add(List.of(line.job(), line.state(), line.phase(), line.round() + "/" + line.rounds()));
        terminal.print(jobs.jobs().isEmpty() ? "no jobs yet" : table.text().stripTrailing());
    }

    private static void one(Terminal terminal, JobStatus s) {
        terminal.result(s);
        terminal.print(
                "job " + s.job() + " is " + s.state() + ", round " + s.round() + "/" + s.rounds() + ", " + s.phase()
                        + (s.waiting() == null || s.waiting().isBlank() ? "" : ": " + s.waiting())
                        + (s.reason() == null || s.reason().isBlank() ? "" : "; " + s.reason()));
        if (s.bestRound() > 0)
            terminal.print("best round " + s.bestRound() + ", " + s.keyMetric() + " " + Scores.text(s.bestValue()));
        var table = new TextTable(List.of("site", "state", "done", "idle s"), 8);
        for (JobStatus.Site site : s.sites())
            table.add(List.of(site.site(), site.state(), site.done() + "/" + site.total(),
                    String.format(Locale.ROOT, "%.0f", site.idleSeconds())));
        if (!s.sites().isEmpty()) terminal.print(table.text().stripTrailing());
        s.sites().stream().filter(x -> x.state().equals("failed"))
                .forEach(x -> terminal.print(x.site() + ": " + x.note()));
    }
}
