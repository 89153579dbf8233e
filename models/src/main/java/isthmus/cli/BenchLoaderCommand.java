package isthmus.cli;

import isthmus.backend.Backend;
import isthmus.data.Augment;
import isthmus.data.BatchLoader;
import isthmus.data.ImageDataset;
import isthmus.data.LabelTable;
import isthmus.data.Preprocess;
import isthmus.nn.Model;
import isthmus.profile.Workload;
import isthmus.report.Figures;
import isthmus.report.JsonFile;
import isthmus.task.Compute;
import isthmus.task.CoreLease;
import isthmus.task.LoaderSource;
import isthmus.train.BatchSource;
import isthmus.train.Trainer;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Times training on films beside training on data that lie in memory. */
@picocli.CommandLine.Command(name = "loader", description = "Times training on films beside the same training on data that lie in"
        + " memory, pass by pass in turn: what reading, shrinking, varying and copying films costs.", footer = {"",
                "Example: isthmus bench loader --data films/train.csv --label Pneumonia --model convnet2",
                "Files are decoded once, before the first pass; --cache-mb 0 decodes them in every pass."})
final class BenchLoaderCommand extends Command {
    /**
     * What came out; rates are medians over passes.
     *
     * @param decodeS time to read and decode all files, once
     * @param cacheMb memory that the decoded films take, MiB
     * @param ratio training on films over training in memory; 1 where films cost nothing
     */
    record Result(String model, int batch, String precision, int threads, int workers, int films,
            int filmsDecodedEachPass,
            double decodeS, double cacheMb, int passes, int steps, double memoryImagesPerS, double filmsImagesPerS,
            double ratio) {}

    @Option(names = "--data", required = true, paramLabel = "CSV", description = "A table of films.")
    private Path data;

    @Option(names = "--label", paramLabel = "NAME", description = "A column of the table. Default: Pneumonia.")
    private String label = "Pneumonia";

    @Option(names = "--model", required = true, paramLabel = "NAME", description = "A network of the catalogue that takes pictures.")
    private String model;

    @Mixin
    private WorkloadOptions options;

    @Mixin
    private Cores cores;

    @Option(names = "--workers", paramLabel = "N", description = "Threads that make batches. Default: 2.")
    private int workers = 2;

    @Option(names = "--cache-mb", paramLabel = "N", description = "Most memory for decoded films, MiB. Default: 16384.")
    private long cacheMb = 16384;

    @Option(names = "--passes", paramLabel = "N", description = "Passes of each kind. Default: 5.")
    private int passes = 5;

    @Option(names = "--report", paramLabel = "FILE", description = "Write the result there as JSON, too.")
    private Path report;

    @Override
    void run(Terminal terminal) throws Exception {
        int threads = cores.threads();
        if (passes < 1 || workers < 1 || cacheMb < 0)
            throw new CliException(Exit.USAGE, "--passes is " + passes + ", --workers " + workers + ", --cache-mb "
                    + cacheMb + "; the first two are 1 or more, the last 0 or more");
        Workload work = options.of(model);
        if (work.network().image().rank() != 3)
            throw new CliException(Exit.USAGE, "--model " + model + " takes volumes; films are pictures");
        InputFiles.require(data, "the table of films");
        LabelTable table = LabelTable.read(data, List.of(label), LabelTable.Options.standard());
        Result r;
        try (CoreLease lease = CoreLease.acquire(threads); Backend backend = Compute.cpu(threads).open()) {
            r = measure(work, table, backend, threads);
        }
        if (report != null) JsonFile.write(report, r);
        terminal.result(r);
        terminal.print(String.format(Locale.ROOT,
                "%s, batch %d, %s, %d threads: %.1f images/s in memory, %.1f from %d films: %.1f %%", r.model(),
                r.batch(), r.precision(), threads, r.memoryImagesPerS(), r.filmsImagesPerS(), r.films(),
                100 * r.ratio()));
        terminal.print(String.format(Locale.ROOT, "decoded once in %.1f s; %.0f MB of them are kept, %d films are "
                + "decoded in every pass", r.decodeS(), r.cacheMb(), r.filmsDecodedEachPass()));
    }

    private Result measure(Workload work, LabelTable table, Backend backend, int threads) {
        backend.enter();
        long begin = System.nanoTime();
        try (ImageDataset films = ImageDataset.load(table, preprocess(work), ImageDataset.Options.standard()
                .withThreads(threads).withMaxBytes(cacheMb << 20))) {
            double decode = (System.nanoTime() - begin) / 1e9;
            int batch = Math.min(work.batch(), films.size());
            Workload fitting = new Workload(work.model(), batch, work.precision(), work.size(), work.channels(), 1,
                    work.optimizer());
            Model network = fitting.network();
            Model fed = LoaderSource.fed(network, preprocess(work));
            try (BatchLoader loader = new BatchLoader(films,
                    BatchLoader.Options.training(batch, 1, Augment.CHEST).withWorkers(workers));
                    Trainer still = fitting.compile(network, backend);
                    Trainer onFilms = fitting.compile(fed, backend)) {
                fitting.fill(network, still);
                onFilms.weights().copyFrom(still.weights());
                double[][] seconds = passes(still, onFilms, loader);
                double memory = Figures.median(seconds[0]);
                double fromFilms = Figures.median(seconds[1]);
                double images = (double) loader.batches() * batch;
                return new Result(work.model(), batch, work.precision(), threads, workers, films.size(),
                        films.size() - films.kept(), round(decode), round(films.keptBytes() / (double) (1 << 20)),
                        passes, loader.batches(), round(images / memory), round(images / fromFilms),
                        round(memory / fromFilms));
            }
        }
    }

    /** As the recipes preprocess: a tenth larger than what the network sees. */
    private static Preprocess preprocess(Workload w) {
        return new Preprocess(w.size() * 11 / 10, w.size(), Preprocess.Fit.CROP, w.channels(),
                Collections.nCopies(w.channels(), 0.5), Collections.nCopies(w.channels(), 0.25));
    }

    /** Seconds of passes in memory and on films, in turn; one of each before, which is not counted. */
    private double[][] passes(Trainer inMemory, Trainer onFilms, BatchLoader loader) {
        var seconds = new double[2][passes];
        var source = new LoaderSource(loader);
        var still = new Still(loader.batchSize(), loader.batches());
        for (int i = -1; i < passes; i++) {
            for (int side = 0; side < 2; side++) {
                long begin = System.nanoTime();
                if (side == 0) inMemory.pass(still, (b, of, samples, loss) -> {});
                else
                    onFilms.pass(source.epoch(i + 1L), (b, of, samples, loss) -> {});
                if (i >= 0) seconds[side][i] = (System.nanoTime() - begin) / 1e9;
            }
        }
        return seconds;
    }

    private static double round(double x) { return Figures.round(x, 3); }

    /** Batches that lie in place already. */
    private record Still(int batchSize, int batches) implements BatchSource {
        @Override
        public int next(MemorySegment images, MemorySegment labels) { return batchSize; }
    }
}
