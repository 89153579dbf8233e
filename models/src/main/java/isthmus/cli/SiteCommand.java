package isthmus.cli;

import isthmus.client.ClientConfig;
import isthmus.client.ClientEvents;
import isthmus.client.FederationClient;
import isthmus.client.JobOutcome;
import isthmus.client.RoundTask;
import isthmus.client.SiteResult;
import isthmus.report.Meter;
import isthmus.report.ProgressBar;
import isthmus.task.XraySite;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Takes part in a federation with the films of one hospital. */
@picocli.CommandLine.Command(name = "site", description = "Takes part in a federation: connects outwards to the server, trains on this"
        + " site's own films when a job asks for it, sends weights and metrics, never films. Runs until Ctrl-C.", footer = {
                "",
                "Example: isthmus site --kit kits/sites/north --data films/train.csv --val films/val.csv"})
final class SiteCommand extends Command {
    @Option(names = "--kit", required = true, paramLabel = "DIR", description = "This site's kit, from isthmus provision.")
    private Path kit;

    @Option(names = "--data", required = true, paramLabel = "CSV", description = "Films to train on.")
    private Path data;

    @Option(names = "--val", required = true, paramLabel = "CSV", description = "Films to validate global models on.")
    private Path validation;

    @Option(names = "--work", paramLabel = "DIR", description = "Folder for fetched weights, the optimizer's moments and the log. Default: work in the kit.")
    private Path work;

    @Option(names = "--server", paramLabel = "HOST:PORT", description = "Where the server is, if not where the kit says.")
    private String server;

    @Mixin
    private Cores cores;

    @picocli.CommandLine.Mixin
    private DeviceOption device = new DeviceOption();

    @Option(names = "--once", description = "End when the first job that this site took part in has ended.")
    private boolean once;

    @Override
    void run(Terminal terminal) throws Exception {
        int threads = cores.threads();
        for (Path table : new Path[]{data, validation})
            InputFiles.require(table, "a CSV of films");
        Path folder = work == null ? kit.resolve("work") : work;
        java.nio.file.Files.createDirectories(folder);
        Logs.toFile(folder.resolve("site.log"));
        ClientConfig config = ClientConfig.of(kit, folder);
        if (server != null) {
            Address address = Address.parse(server);
            config = config.at(address.host(), address.port());
        }
        try (XraySite site = new XraySite(data, validation, device.with(threads), Optional.of(folder));
                FederationClient client = new FederationClient(config, new DiscreetTrainer(site),
                        new Story(terminal))) {
            if (once) {
                JobOutcome outcome = client.runJob();
                if (outcome != null && !outcome.state().equals("done"))
                    throw new CliException(Exit.FAILED,
                            "job " + outcome.job() + " was " + outcome.state() + " after round "
                                    + outcome.rounds());
            } else
                client.run();
        }
    }

    /** Tells people, or machines, what happens. */
    private static final class Story implements ClientEvents {
        private final Terminal terminal;
        private ProgressBar bar;

        Story(Terminal terminal) { this.terminal = terminal; }

        /** One event, for machines. */
        record Event(String event, String job, Integer round, Long samples, Map<String, Double> metrics, String text) {}

        private void say(String event, RoundTask task, SiteResult result, String text) {
            end();
            terminal.event(new Event(event, task == null ? null : task.job(), task == null ? null : task.round(),
                    result == null ? null : result.samples(), result == null ? null : new TreeMap<>(result.metrics()),
                    text));
            terminal.print(text);
        }

        private synchronized void end() {
            if (bar != null) bar.close();
            bar = null;
        }

        @Override
        public void connected(String address) {
            say("connected", null, null, "connected to " + address + "; waiting for work");
        }

        @Override
        public void retrying(String problem, Duration wait) {
            terminal.note("isthmus site: " + problem + "; trying again in " + Meter.time(wait));
        }

        @Override
        public void started(RoundTask task, String what) {
            end();
            if (terminal.live())
                bar = terminal.bar("round " + task.round() + "/" + task.rounds() + " " + what, "steps", 0);
        }

        @Override
        public synchronized void progress(RoundTask task, String what, long done, long total, String note) {
            if (bar != null && (what.equals("train") || what.equals("validate"))) bar.update(done, total, note);
        }

        @Override
        public void uploaded(RoundTask task, SiteResult result, long bytes, Duration took) {
            say("uploaded", task, result,
                    String.format(Locale.ROOT, "round %d/%d: trained on %d films, %s; sent %s in %s", task.round(),
                            task.rounds(), result.samples(), figures(result.metrics()), Meter.bytes(bytes),
                            Meter.time(took)));
        }

        @Override
        public void validated(RoundTask task, SiteResult result) {
            say("validated", task, result,
                    String.format(Locale.ROOT, "round %d/%d: global model on %d films: %s", task.round(),
                            task.rounds(), result.samples(), figures(result.metrics())));
        }

        @Override
        public void refused(RoundTask task, String why) {
            say("refused", task, null, "round " + task.round() + ": " + why);
        }

        @Override
        public void finished(String job, int rounds, String state) {
            say("finished", null, null, "job " + job + " is " + state + " after " + rounds + " rounds");
        }

        private static String figures(Map<String, Double> metrics) {
            return new TreeMap<>(metrics).entrySet().stream()
                    .map(e -> String.format(Locale.ROOT, "%s %.3f", e.getKey(), e.getValue()))
                    .collect(java.util.stream.Collectors.joining(", "));
        }
    }
}
