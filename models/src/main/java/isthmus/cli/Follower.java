package isthmus.cli;

import isthmus.admin.AdminClient;
import isthmus.report.Meter;
import isthmus.report.TextTable;
import isthmus.wire.JobStatus;
import isthmus.wire.RoundRecord;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/** Watches a job to its end: a row a finished round, and on a terminal a last line with what each site does now. */
final class Follower {
    private static final long PAUSE_MILLIS = 300;

    /** Called between looks; throws to stop watching. */
    interface Check {
        void run() throws IOException;
    }

    private final AdminClient admin;
    private final String job;
    private final Terminal terminal;
    private final boolean events;
    private final List<RoundRecord> rounds = new ArrayList<>();
    private List<String> sites = List.of();
    private TextTable table;

    /** {@code events} asks for a line of JSON a round where the terminal is a machine's. */
    Follower(AdminClient admin, String job, Terminal terminal, boolean events) {
        this.events = events;
        this.admin = admin;
        this.job = job;
        this.terminal = terminal;
    }

    /** Finished rounds, oldest first. */
    List<RoundRecord> rounds() { return List.copyOf(rounds); }

    /** Returns when the job has ended. */
    JobStatus follow(Check check) throws IOException, InterruptedException {
        while (true) {
            JobStatus now = admin.status(job, rounds.size());
            for (RoundRecord round : now.history())
                show(round);
            if (now.ended() && now.history().isEmpty()) {
                terminal.passing("");
                return now;
            }
            terminal.passing(passing(now));
            check.run();
            if (now.history().isEmpty()) Thread.sleep(PAUSE_MILLIS);
        }
    }

    private void show(RoundRecord round) {
        rounds.add(round);
        terminal.passing("");
        if (events) terminal.event(round);
        List<String> names = round.sites().stream().map(RoundRecord.Site::site).toList();
        if (table == null || !sites.containsAll(names)) {
            sites = names;
            table = new TextTable(heads(), 7);
            terminal.print(table.header());
        }
        terminal.print(table.line(row(round)));
    }

    private List<String> heads() {
        var heads = new ArrayList<>(List.of("round", "loss"));
        sites.forEach(s -> heads.add("AUROC " + s));
        heads.addAll(List.of("mean", "up/site", "seconds"));
        return heads;
    }

    private List<String> row(RoundRecord round) {
        var cells = new ArrayList<>(List.of(round.round() + (round.best() ? " *" : ""), Scores.text(loss(round))));
        for (String site : sites)
            cells.add(Scores.text(auroc(round, site)));
        cells.addAll(List.of(Scores.text(round.keyMetric()), Meter.bytes(bytesUp(round)),
                String.format(Locale.ROOT, "%.1f", round.seconds())));
        return cells;
    }

    /** Training loss, weighted by samples. */
    static double loss(RoundRecord round) {
        double sum = 0;
        long samples = 0;
        for (RoundRecord.Site s : round.sites()) {
            Double loss = s.train().get("loss");
            if (loss == null) continue;
            sum += loss * s.samples();
            samples += s.samples();
        }
        return samples == 0 ? Double.NaN : sum / samples;
    }

    /** A site's AUROC of the round's global model, or NaN. */
    static double auroc(RoundRecord round, String site) {
        return round.sites().stream().filter(s -> s.site().equals(site)).map(s -> s.validation().get("auroc"))
                .filter(java.util.Objects::nonNull).findFirst().orElse(Double.NaN);
    }

    /** Most weight bytes that one site sent. */
    static long bytesUp(RoundRecord round) {
        return round.sites().stream().mapToLong(RoundRecord.Site::bytesUp).max().orElse(0);
    }

    private static String passing(JobStatus now) {
        String doing = now.sites().stream().map(Follower::site).collect(Collectors.joining("  "));
        String line = "round " + now.round() + "/" + now.rounds() + " " + now.phase() + "  " + doing;
        return line.length() > 110 ? line.substring(0, 110) : line;
    }

    private static String site(JobStatus.Site s) {
        return s.site() + " " + (s.total() > 0 && s.state().equals("working") ? s.done() + "/" + s.total() : s.state());
    }
}
