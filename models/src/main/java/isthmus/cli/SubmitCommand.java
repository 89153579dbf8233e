package isthmus.cli;

import isthmus.admin.AdminClient;
import isthmus.report.ProgressBar;
import isthmus.task.Compute;
import isthmus.task.Recipe;
import isthmus.task.StartWeights;
import isthmus.wire.JobStatus;
import isthmus.wire.Refusal;
import isthmus.wire.RefusalException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Submits a job. */
@picocli.CommandLine.Command(name = "submit", description = "Submits a job to the server and prints its identity.", footer = {
        "",
        "Example: isthmus submit --example > job.json",
        "         isthmus submit --kit kits/admins/admin job.json --wait",
        "", "The job's recipe is as isthmus train takes it (isthmus train --help shows keys of it); for sites:",
        "  \"recipe\": {..., \"local_epochs\": 2, \"optimizer_state\": \"keep\",",
        "             \"warm_start\": {\"weights\": \"imported.safetensors\", \"subset\": 64, \"epochs\": 2}}",
        "This command does the warm start, on films that lie here: --warm-start films.csv"})
final class SubmitCommand extends Command {
    @ArgGroup(exclusive = false)
    private AdminOptions admin;

    @Parameters(index = "0", arity = "0..1", paramLabel = "JOB", description = "The job, in JSON.")
    private Path job;

    @Option(names = "--weights", paramLabel = "FILE", description = "Weights (safetensors) to begin with. Default: the recipe's, else from its seed.")
    private Path weights;

    @Option(names = "--warm-start", paramLabel = "CSV", description = "Films that lie here (once a table), for a recipe whose"
            + " warm_start trains on a few of them before the first round; they are not sent.")
    private List<Path> warmStart = List.of();

    @Mixin
    private Cores cores;

    @picocli.CommandLine.Mixin
    private DeviceOption device = new DeviceOption();

    @Option(names = "--wait", description = "Watch the job to its end.")
    private boolean wait;

    @Option(names = "--example", description = "Print a job for three sites and pneumonia, and end.")
    private boolean example;

    /** What the server answered. */
    record Submitted(String job) {}

    @Override
    void run(Terminal terminal) throws Exception {
        if (example) {
            System.out.print(JobFile.of("pneumonia", 48, 3, Recipe.pneumonia()).text());
            return;
        }
        if (admin == null || job == null)
            throw new CliException(Exit.USAGE,
                    "name the administrator's kit and the job: isthmus submit --kit DIR JOB");
        JobFile file = JobFile.read(job);
        checkStart(file.recipe());
        file.recipe().federationNotes().forEach(n -> terminal.note("isthmus submit: " + n));
        Compute compute = device.with(cores.threads());
        Path start = Files.createTempFile("isthmus-start", ".safetensors");
        try (AdminClient client = admin.open()) {
            StartWeights.write(file.recipe(), Optional.ofNullable(weights), warmStart, compute, start,
                    terminal::note);
            String id = send(terminal, client, file, start);
            terminal.event(new Submitted(id));
            terminal.print("job " + id + " submitted");
            if (wait) follow(terminal, client, id);
        } finally {
            Files.deleteIfExists(start);
        }
    }

    /** What the initial weights are made of, before anything long begins. */
    private void checkStart(Recipe recipe) {
        if (weights != null) InputFiles.require(weights, "weights in safetensors");
        recipe.course().warmStart().weights().filter(w -> weights == null)
                .ifPresent(w -> InputFiles.require(Path.of(w), "the recipe's warm_start.weights, in safetensors,"));
        boolean trains = recipe.course().warmStart().trains();
        if (trains && warmStart.isEmpty())
            throw new CliException(Exit.USAGE, "the recipe's warm_start trains on a few films before the first round:"
                    + " name a table of films that lie here with --warm-start CSV, or take subset out of the recipe");
        if (!trains && !warmStart.isEmpty())
            throw new CliException(Exit.USAGE, "--warm-start names films, but the recipe has no warm_start.subset");
        for (Path table : warmStart)
            InputFiles.require(table, "a CSV of films");
    }

    private String send(Terminal terminal, AdminClient client, JobFile file, Path start) throws Exception {
        try (ProgressBar bar = terminal.live()
                ? terminal.bar("sending the initial weights", "bytes", Files.size(start))
                : null) {
            return client.submit(file.text(), start, (now, all) -> {
                if (bar != null) bar.update(now, all, "");
            });
        } catch (RefusalException e) {
            // The client reads the job strictly before it sends anything; it does not know the file's name.
            if (Failures.code(e) != Exit.BAD_DATA) throw e;
            Refusal r = e.refusal();
            throw new CliException(Exit.BAD_DATA,
                    r.where().replaceFirst("^job", java.util.regex.Matcher.quoteReplacement(job.toString())) + ": "
                            + r.what() + " (" + r.cure() + ")",
                    e);
        }
    }

    static void follow(Terminal terminal, AdminClient client, String id) throws Exception {
        JobStatus end = new Follower(client, id, terminal, true).follow(() -> {});
        if (!end.state().equals("done"))
            throw new CliException(Exit.FAILED,
                    "job " + id + " is " + end.state() + " after round " + end.round() + ": " + end.reason());
        terminal.print("job " + id + " is done; best round " + end.bestRound() + " with " + end.keyMetric() + " "
                + Scores.text(end.bestValue()));
    }
}
