package isthmus.bench;

import isthmus.data.Augment;
import isthmus.data.Batch;
import isthmus.data.BatchLoader;
import isthmus.data.ImageDataset;
import isthmus.data.ImageReader;
import isthmus.data.LabelTable;
import isthmus.data.Preprocess;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.List;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/** Films on their way into a batch: decoded once, then drawn and copied from the cache. Each call is one film. */
@State(Scope.Thread)
public class LoaderBenchmark {
    /** Set by {@link KernelBenchmarks}: a table of films. */
    static final String FILMS = "isthmus.bench.films";
    static final String LABEL = "isthmus.bench.label";

    private static final int BATCH = 32;
    private static final Preprocess PREPROCESS = new Preprocess(247, 224, Preprocess.Fit.CROP, 1, List.of(0.5),
            List.of(0.25));

    /** Threads that make batches. */
    @Param({"1", "2"})
    private int workers;

    private LabelTable table;
    private ImageDataset data;
    private BatchLoader varied;
    private BatchLoader plain;
    private Iterator<Batch> variedBatches;
    private Iterator<Batch> plainBatches;
    private int variedLeft;
    private int plainLeft;
    private long epoch;
    private int next;

    @Setup
    public void open() {
        table = LabelTable.read(Path.of(System.getProperty(FILMS)), List.of(System.getProperty(LABEL)),
                LabelTable.Options.standard());
        data = ImageDataset.load(table, PREPROCESS, ImageDataset.Options.standard());
        var options = BatchLoader.Options.training(Math.min(BATCH, data.size()), 1, Augment.CHEST)
                .withWorkers(workers);
        varied = new BatchLoader(data, options);
        plain = new BatchLoader(data, BatchLoader.Options.evaluation(options.batch()).withWorkers(workers));
        variedBatches = varied.epoch(++epoch).iterator();
        plainBatches = plain.epoch(epoch).iterator();
    }

    @TearDown
    public void close() {
        varied.close();
        plain.close();
        data.close();
    }

    private static void moved(Traffic traffic) {
        traffic.bytes += (long) PREPROCESS.resize() * PREPROCESS.resize() + PREPROCESS.raw().bytes();
    }

    /** As in training: with a draw of crop, turn, flip and tones, which the training step carries out. */
    @Benchmark
    public void variedFilm(Traffic traffic) {
        if (variedLeft == 0) {
            if (!variedBatches.hasNext()) variedBatches = varied.epoch(++epoch).iterator();
            variedLeft = variedBatches.next().count();
        }
        variedLeft--;
        moved(traffic);
    }

    /** As in evaluation. */
    @Benchmark
    public void plainFilm(Traffic traffic) {
        if (plainLeft == 0) {
            if (!plainBatches.hasNext()) plainBatches = plain.epoch(++epoch).iterator();
            plainLeft = plainBatches.next().count();
        }
        plainLeft--;
        moved(traffic);
    }

    /** Reading and decoding a file, on one thread. */
    @Benchmark
    public Object decodedFilm(Traffic traffic) {
        var film = new ImageReader().read(table.file(next++ % table.rows()));
        traffic.bytes += (long) film.width() * film.height();
        return film;
    }
}
