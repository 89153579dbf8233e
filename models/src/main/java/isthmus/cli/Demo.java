package isthmus.cli;

import isthmus.provision.Project;
import isthmus.provision.Provisioner;
import isthmus.report.Meter;
import isthmus.report.ProgressBar;
import isthmus.report.TextTable;
import isthmus.task.Compute;
import isthmus.task.Evaluation;
import isthmus.task.LossNote;
import isthmus.task.PooledTraining;
import isthmus.task.Recipe;
import isthmus.wire.JobStatus;
import isthmus.wire.RoundRecord;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.DoubleSupplier;

/** One run of the demo, step by step; every figure comes from this run. */
final class Demo {
    private static final String FEDERATED = "federated";
    private final Terminal terminal;
    private final Path folder;
    private final List<Hospital> hospitals;
    private final int rounds;
    private final Recipe recipe = Recipe.pneumonia();
    private final Compute compute;
    private final int threads;
    private final long began = System.nanoTime();
    private double firstRound;

    Demo(Terminal terminal, Path folder, List<Hospital> hospitals, int rounds, Compute compute) {
        this.compute = compute;
        this.threads = compute.threads();
        this.terminal = terminal;
        this.folder = folder;
        this.hospitals = hospitals;
        this.rounds = rounds;
    }

    DemoReport run() throws Exception {
        Path start = folder.resolve("start.safetensors");
        JobFile job = JobFile.of("demo", rounds, hospitals.size(), recipe);
        job.writeStart(start);
        Path kits = provision();
        List<RoundRecord> history;
        Path model = folder.resolve("model").resolve("best.safetensors");
        JobStatus end;
        try (Federation federation = new Federation(terminal, folder, kits, hospitals,
                new Compute(compute.device(), threadsPerSite()))) {
            federation.begin();
            say("");
            say("2. " + rounds + " rounds: each hospital trains on its own films, only weights travel");
            Follower follower = federation.submit(job, start);
            end = federation.follow(follower, () -> firstRound = seconds());
            history = follower.rounds();
            federation.fetch(end.job(), model);
        }
        Map<String, PooledTraining.Result> alone = trainAlone(start);
        Map<String, Map<String, Double>> matrix = compare(model, alone);
        Path onnx = folder.resolve("model").resolve("best.onnx");
        OnnxFile.Check check = export(model, onnx);
        DemoReport.Film film = OneFilm.read(recipe, onnx, hospitals.getLast().validation());
        say(String.format(Locale.ROOT, "   one film: %s: %s %.3f (its table says %.0f)", shown(film.image()),
                film.label(),
                film.probability(),
                film.truth()));
        Path curves = folder.resolve("curves.png");
        DemoCurves.draw(curves, hospitals, history, alone);
        DemoReport report = report(end, history, alone, matrix, check, film, List.of(model, onnx, curves));
        conclude(report);
        return report;
    }

    /** Sites work side by side, each on its share of the cores: few threads each waste least at their meeting points. */
    private int threadsPerSite() {
        return Math.max(1, threads / hospitals.size());
    }

    private void say(String line) { terminal.print(line); }

    /** A path as seen from the working folder, where it lies below it. */
    private static String shown(String path) {
        Path here = Path.of("").toAbsolutePath();
        Path file = Path.of(path).toAbsolutePath();
        return file.startsWith(here) && !file.equals(here) ? here.relativize(file).toString() : path;
    }

    private double seconds() { return (System.nanoTime() - began) / 1e9; }

    private Path provision() throws IOException {
        Path kits = folder.resolve("kits");
        Provisioner.provision(
                new Project("demo", List.of("localhost"), 8443, hospitals.stream().map(Hospital::name).toList(),
                        List.of("admin"), 1),
                kits);
        say("1. certificates for a server, " + hospitals.size() + " hospitals and an administrator: "
                + shown(kits.toString()));
        return kits;
    }

    /** Each hospital by itself: the same start, as many steps on its own films as it made in the federation. */
    private Map<String, PooledTraining.Result> trainAlone(Path start) throws IOException {
        say("");
        say("3. each hospital alone, from the same weights, with the same number of steps");
        int epochs = rounds * recipe.localEpochs();
        Recipe lone = recipe.withEpochs(epochs, recipe.localEpochs());
        Map<String, PooledTraining.Result> all = new LinkedHashMap<>();
        for (Hospital h : hospitals) {
            try (var watch = new LoneWatch(terminal, h.name(), epochs)) {
                all.put(h.name(),
                        PooledTraining.run(lone, List.of(h.train()), List.of(h.validation()), Optional.of(start),
                                folder.resolve("alone").resolve(h.name()), compute, watch));
            }
        }
        return all;
    }

    /** AUROC of every model on every hospital's validation films. */
    private Map<String, Map<String, Double>> compare(Path model, Map<String, PooledTraining.Result> alone)
            throws IOException {
        Map<String, Path> models = new LinkedHashMap<>();
        hospitals.forEach(h -> models.put(h.name(), alone.get(h.name()).bestModel()));
        models.put(FEDERATED, model);
        Map<String, Map<String, Double>> matrix = new LinkedHashMap<>();
        var heads = new ArrayList<>(List.of("AUROC of / on"));
        hospitals.forEach(h -> heads.add(h.name()));
        heads.add("mean");
        var table = new TextTable(heads, 8);
        for (Map.Entry<String, Path> each : models.entrySet()) {
            Map<String, Double> row = new LinkedHashMap<>();
            for (Hospital h : hospitals)
                row.put(h.name(), Scores.mean(Evaluation.run(each.getValue(), List.of(h.validation()), compute)));
            matrix.put(each.getKey(), row);
            var cells = new ArrayList<>(List.of(each.getKey() + (each.getKey().equals(FEDERATED) ? "" : " alone")));
            row.values().forEach(v -> cells.add(Scores.text(v)));
            cells.add(Scores.text(mean(row.values())));
            table.add(cells);
        }
        say("");
        say("4. every model on every hospital's validation films");
        say(table.text().stripTrailing());
        return matrix;
    }

    private OnnxFile.Check export(Path model, Path onnx) throws IOException {
        OnnxFile.write(model, onnx);
        OnnxFile.Check check = OnnxFile.check(model, onnx, hospitals.stream().map(Hospital::validation).toList(),
                threads);
        if (!check.agrees())
            throw new CliException(Exit.FAILED, onnx + ": ONNX Runtime and training disagree: " + check.figures());
        say("");
        say("5. to the clinic: ONNX Runtime agrees with training: " + check.figures());
        return check;
    }

    private static double mean(Iterable<Double> values) {
        double sum = 0;
        int count = 0;
        for (double v : values) {
            sum += v;
            count++;
        }
        return sum / count;
    }

    private DemoReport report(JobStatus end, List<RoundRecord> history, Map<String, PooledTraining.Result> alone,
            Map<String, Map<String, Double>> matrix, OnnxFile.Check check, DemoReport.Film film, List<Path> files) {
        List<DemoReport.Site> sites = new ArrayList<>();
        for (Hospital h : hospitals) {
            long validated = history.getLast().sites().stream().filter(s -> s.site().equals(h.name())).findFirst()
                    .orElseThrow().valSamples();
            List<Double> lone = hospitals.stream().map(of -> matrix.get(of.name()).get(h.name())).toList();
            sites.add(new DemoReport.Site(h.name(), alone.get(h.name()).films(), (int) validated,
                    matrix.get(h.name()).get(h.name()),
                    mean(lone), matrix.get(FEDERATED).get(h.name())));
        }
        List<DemoReport.Round> perRound = history.stream().map(this::round).toList();
        return new DemoReport(seconds(), firstRound, end.round(), end.bestRound(),
                alone.values().iterator().next().parameters(),
                history.stream().mapToLong(Follower::bytesUp).max().orElse(0), check.maxAbsDiff(), check.maxLogitDiff(),
                mean(sites.stream().map(DemoReport.Site::aurocAlone).toList()),
                mean(sites.stream().map(DemoReport.Site::aurocFederated).toList()),
                sites, matrix, perRound, film, files.get(0).toString(), files.get(1).toString(),
                files.get(2).toString(), folder.toString());
    }

    private DemoReport.Round round(RoundRecord r) {
        Map<String, Double> auroc = new TreeMap<>();
        hospitals.forEach(h -> auroc.put(h.name(), Follower.auroc(r, h.name())));
        return new DemoReport.Round(r.round(), Follower.loss(r), auroc, r.keyMetric(), r.seconds());
    }

    private void conclude(DemoReport r) throws IOException {
        var table = new TextTable(
                List.of("hospital", "train films", "val films", "its own model", "lone models' mean", "federated"), 8);
        for (DemoReport.Site s : r.sites())
            table.add(List.of(s.name(), Integer.toString(s.trainImages()), Integer.toString(s.valImages()),
                    Scores.text(s.aurocOwn()), Scores.text(s.aurocAlone()), Scores.text(s.aurocFederated())));
        table.add(List.of("mean", "", "", Scores.text(mean(r.sites().stream().map(DemoReport.Site::aurocOwn).toList())),
                Scores.text(r.aurocAloneMean()), Scores.text(r.aurocFederatedMean())));
        say("");
        say("AUROC of pneumonia on each hospital's validation films");
        say(table.text().stripTrailing());
        say("");
        say(String.format(Locale.ROOT, "%,d parameters; %s up a site and round; %s in all", r.parameters(),
                Meter.bytes(r.bytesUpPerSiteRound()),
                Meter.time(Duration.ofMillis((long) (r.seconds() * 1000)))));
        say("model   " + shown(r.model()) + " (" + Meter.bytes(Files.size(Path.of(r.model()))) + ", safetensors)");
        say("onnx    " + shown(r.onnx()));
        say("curves  " + shown(r.curves()));
        say("all     " + shown(r.folder()) + " (report.json, logs, kits, lone models)");
        say("These films are a sample for a demonstration: no clinical claim.");
    }

    /** One line for a lone model's training. */
    private static final class LoneWatch implements PooledTraining.Listener, AutoCloseable {
        private final Terminal terminal;
        private final ProgressBar bar;
        private final String name;
        private final int epochs;
        private final LossNote note = new LossNote();
        private int done;
        private double best = Double.NaN;

        LoneWatch(Terminal terminal, String name, int epochs) {
            this.terminal = terminal;
            this.name = name;
            this.epochs = epochs;
            this.bar = terminal.bar("   " + name + " alone", "steps", 0);
        }

        @Override
        public void ready(int training, int validation, long parameters, List<String> warnings) {
            Notices.log(name, warnings);
        }

        @Override
        public void step(int step, int steps, long samples, DoubleSupplier loss) {
            bar.update((long) done * steps + step, (long) epochs * steps,
                    terminal.live() ? String.format(Locale.ROOT, "loss %.3f", note.of(loss)) : "");
        }

        @Override
        public void epoch(PooledTraining.Epoch epoch, int of) {
            done = epoch.number();
            double auroc = epoch.validation().getOrDefault("auroc", Double.NaN);
            if (!(auroc <= best)) best = auroc;
            bar.note(String.format(Locale.ROOT, "loss %.3f, best AUROC %s", epoch.loss(), Scores.text(best)));
        }

        @Override
        public void close() { bar.close(); }
    }
}
