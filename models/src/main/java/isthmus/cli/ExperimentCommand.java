package isthmus.cli;

import isthmus.experiment.Poc;
import isthmus.experiment.PocChart;
import isthmus.experiment.PocReport;
import isthmus.experiment.PocSettings;
import isthmus.report.JsonFile;
import isthmus.report.Meter;
import isthmus.report.TextTable;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Runs an experiment. */
@picocli.CommandLine.Command(name = "experiment", description = {
        "Runs an experiment and prints its table. There is one, poc:",
        "ConvNet2 on chest films of three sites, federated in this process, in four configurations that take turns round by round:"
                + " full or LoRA, float32 or mixed precision. All begin with one warm start. It measures accuracy, time, bytes that"
                + " travel, and how steady the last rounds are."}, footer = {"",
                        "Example: isthmus experiment poc --report poc.json",
                        "         isthmus experiment poc --rounds 5 --size 32 --seed 7",
                        "         isthmus experiment poc --data films   # films/SITE/train.csv and val.csv"})
final class ExperimentCommand extends Command {
    @Parameters(index = "0", paramLabel = "NAME", description = "The experiment: poc.")
    private String name;

    @Option(names = "--data", paramLabel = "DIR", description = "Folder with a folder a site, each with train.csv and val.csv."
            + " Default: the bundled sample.")
    private Path data;

    @Option(names = "--rounds", description = "Rounds in each configuration. Default: ${DEFAULT-VALUE}.")
    private int rounds = PocSettings.standard().rounds();

    @Option(names = "--size", description = "Side of a picture in pixels. Default: ${DEFAULT-VALUE}.")
    private int size = PocSettings.standard().size();

    @Option(names = "--batch", description = "Films a step. Default: ${DEFAULT-VALUE}.")
    private int batch = PocSettings.standard().batch();

    @Option(names = "--rank", description = "Rank of the adapters. Default: ${DEFAULT-VALUE}.")
    private int rank = PocSettings.standard().rank();

    @Option(names = "--warm-films", description = "Films of all sites that the warm start learns from. Default: ${DEFAULT-VALUE}.")
    private int warmFilms = PocSettings.standard().warmFilms();

    @Option(names = "--warm-epochs", description = "Passes over them; 0 for no warm start. Default: ${DEFAULT-VALUE}.")
    private int warmEpochs = PocSettings.standard().warmEpochs();

    @Option(names = "--seed", description = "Seed of weights, order and dropout. Default: ${DEFAULT-VALUE}.")
    private long seed = PocSettings.standard().seed();

    @Option(names = "--report", paramLabel = "FILE", description = "Write the figures there as JSON, too.")
    private Path reportFile;

    @Option(names = "--dir", paramLabel = "DIR", description = "New folder for report and chart. Default: out/poc-TIME.")
    private Path dir;

    @Mixin
    private Cores cores;

    @Override
    void run(Terminal terminal) throws Exception {
        if (!name.equals("poc"))
            throw new CliException(Exit.USAGE, "no experiment is called '" + name + "'; there is poc");
        int threads = cores.threads();
        PocSettings settings;
        try {
            settings = new PocSettings(rounds, size, batch, rank, warmFilms, warmEpochs, seed, threads);
        } catch (IllegalArgumentException e) {
            throw new CliException(Exit.USAGE, "--" + e.getMessage(), e);
        }
        List<Poc.Site> sites = Hospital.in(data == null ? Hospital.sample() : data).stream()
                .map(h -> new Poc.Site(h.name(), h.train(), h.validation())).toList();
        Path folder = RunFolder.make(dir, "poc");
        PocReport report = Poc.run(settings, sites, DoctorCommand.machine(), new Watch(terminal, rounds));
        JsonFile.write(folder.resolve("report.json"), report);
        if (reportFile != null) JsonFile.write(reportFile, report);
        PocChart.write(folder.resolve("poc.png"), report);
        terminal.result(report);
        print(terminal, report, folder);
    }

    private static void print(Terminal terminal, PocReport r, Path folder) {
        var table = new TextTable(List.of("configuration", "accuracy", "+/-", "AUROC", "s/round", "speed", "films/s",
                "per film", "bytes/round", "share", "arena"), 6);
        for (PocReport.Row row : r.rows())
            table.add(List.of(row.configuration(), percent(row.accuracy()), percent(row.accuracyStdLastRounds()),
                    Scores.text(row.auroc()), figures(row.secondsPerRound()), times(row.speedRatio()),
                    figures(row.imagesPerSecond()), times(row.imagesRatio()), Meter.bytes(row.bytesPerRound()),
                    percent(row.bytesShare()), Meter.bytes(row.arenaBytes())));
        terminal.print(table.text());
        terminal.print(String.format(Locale.ROOT,
                "%d films, %d to validate on; warm start: accuracy %s, AUROC %.3f; accuracy and AUROC: mean of the last rounds",
                r.films(), r.valFilms(), percent(r.warmStart().accuracy()), r.warmStart().auroc()));
        terminal.print("time: median round of " + r.machine() + "; AMP here: " + r.amp());
        PocReport.Row full = r.rows().getFirst();
        PocReport.Row amp = r.rows().get(1);
        PocReport.Row both = r.rows().getLast();
        for (String line : List.of(aim("AMP at least 2.5 times as fast as full fp32", amp.speedRatio() >= 2.5,
                times(amp.speedRatio())),
                aim("LoRA AMP at least 2.8 times as fast", both.speedRatio() >= 2.8, times(both.speedRatio())),
                aim("LoRA's bytes under 2 %", both.bytesShare() < 0.02, percent(both.bytesShare())),
                aim("accuracy within 1 point of full training",
                        Math.abs(both.accuracy() - full.accuracy()) <= 0.01
                                || both.accuracy() > full.accuracy(),
                        String.format(Locale.ROOT, "%+.1f points", 100 * (both.accuracy() - full.accuracy())))))
            terminal.print(line);
        terminal.print(Meter.time(Duration.ofMillis((long) (1000 * r.seconds()))) + " in all; files: " + folder);
    }

    private static String aim(String what, boolean reached, String got) {
        return (reached ? "reached:     " : "not reached: ") + what + ": " + got;
    }

    private static String percent(double share) { return String.format(Locale.ROOT, "%.1f %%", 100 * share); }

    private static String times(double ratio) { return String.format(Locale.ROOT, "%.2fx", ratio); }

    private static String figures(double value) { return Meter.figures(value); }

    /** Shows a row a round. */
    private static final class Watch implements Poc.Listener {
        private final Terminal terminal;
        private final int rounds;
        private final TextTable table = new TextTable(List.of("round", "full fp32", "full AMP", "LoRA fp32", "LoRA AMP",
                "seconds"), 9);
        private final List<String> cells = new ArrayList<>();
        private double seconds;

        Watch(Terminal terminal, int rounds) {
            this.terminal = terminal;
            this.rounds = rounds;
        }

        @Override
        public void ready(int films, int valFilms, PocReport.Score warm) {
            terminal.note(String.format(Locale.ROOT, "%d films, %d to validate on; after the warm start: accuracy %s",
                    films, valFilms, percent(warm.accuracy())));
            terminal.note("accuracy (and loss) after each round");
            terminal.note(table.header());
        }

        @Override
        public void round(int round, String configuration, PocReport.Round result) {
            if (cells.isEmpty()) cells.add(round + "/" + rounds);
            cells.add(String.format(Locale.ROOT, "%.3f", result.accuracy()));
            seconds += result.seconds();
            if (cells.size() < 5) return;
            cells.add(String.format(Locale.ROOT, "%.1f", seconds));
            terminal.note(table.line(cells));
            cells.clear();
            seconds = 0;
        }
    }
}
