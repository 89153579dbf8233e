package isthmus.experiment;

import isthmus.backend.Backend;
import isthmus.backend.Precision;
import isthmus.nn.Model;
import isthmus.report.Figures;
import isthmus.tensor.HostMath;
import isthmus.tensor.Region;
import isthmus.tensor.WeightBuffer;
import isthmus.tensor.WeightTable;
import isthmus.train.Evaluator;
import isthmus.train.Loss;
import isthmus.train.OptimizerSpec;
import isthmus.train.Predictions;
import isthmus.train.Trainer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * One configuration's federation in this process: the sites train one after the other on one compiled step, each from the
 * global weights and with a fresh optimizer; their differences are folded by their films' numbers with the kernel that the
 * server uses (McMahan et al. 2017). What a site would receive and send is copied as one range, and counted.
 */
final class PocFederation implements AutoCloseable {
    final PocSettings.Configuration configuration;
    final List<PocReport.Round> rounds = new ArrayList<>();
    private final List<PocSite> sites;
    private final Arena arena = Arena.ofShared();
    private final Trainer trainer;
    private final Evaluator evaluator;
    private final WeightBuffer global;
    private final WeightTable.Range exchanged;
    private final MemorySegment[] updates;
    private final double[] shares;
    private final MemorySegment labels;
    private long bytes;
    private long images;

    /** Compiles the step; {@code start} holds the weights of the plain network. */
    PocFederation(PocSettings.Configuration configuration, PocSettings settings, Model plain, WeightBuffer start,
            List<PocSite> sites, Backend backend) {
        this.configuration = configuration;
        this.sites = sites;
        Model model = plain.with(settings.adaptation(configuration));
        this.trainer = new Trainer(model, options(configuration.learningRate(), configuration.precision(),
                settings.batch(), settings.seed()), backend);
        this.global = WeightBuffer.allocate(model.table(), arena);
        this.evaluator = new Evaluator(model, global, settings.batch(), Precision.FP32, backend,
                trainer.workspace());
        this.exchanged = model.table().exchanged();
        this.labels = arena.allocate((long) settings.batch() * Float.BYTES, 64);
        model.initialize(global, settings.seed());
        global.copyByName(start);
        trainer.weights().copyFrom(global);
        this.updates = new MemorySegment[sites.size()];
        for (int i = 0; i < updates.length; i++)
            updates[i] = arena.allocate(exchanged.length() * Float.BYTES, WeightBuffer.ALIGNMENT);
        double all = sites.stream().mapToInt(PocSite::films).sum();
        this.shares = sites.stream().mapToDouble(s -> s.films() / all).toArray();
    }

    static Trainer.Options options(double learningRate, Precision precision, int batch, long seed) {
        Trainer.Options o = Trainer.Options.of(new Loss.BinaryCrossEntropy(List.of()), OptimizerSpec.adam(learningRate),
                precision, batch);
        return new Trainer.Options(o.loss(), o.update(), precision, batch, 1, seed);
    }

    /** Trains at every site, folds, and measures the new global model; {@code number} counts from 1. */
    void round(int number, PocSite validation) {
        long began = System.nanoTime();
        double loss = 0;
        for (int i = 0; i < updates.length; i++)
            loss += shares[i] * train(sites.get(i), updates[i], number);
        MemorySegment weights = global.range(exchanged);
        HostMath.fold(weights, updates, shares, weights, exchanged.length());
        double seconds = (System.nanoTime() - began) / 1e9;
        PocReport.Score score = measure(evaluator, validation, labels);
        rounds.add(new PocReport.Round(loss, score.accuracy(), score.auroc(), seconds));
    }

    private double train(PocSite site, MemorySegment update, int round) {
        MemorySegment working = trainer.weights().range(exchanged);
        bytes += receive(global.range(exchanged), working);
        int epochs = configuration.localEpochs();
        long steps = site.source.batches();
        trainer.begin((long) (round - 1) * epochs * steps, Long.MAX_VALUE, 0);
        double loss = 0;
        for (int e = 0; e < epochs; e++) {
            loss = trainer.pass(site.source.epoch((round - 1L) * epochs + e + 1), (step, of, samples, mean) -> {});
            images += steps * site.source.batchSize();
        }
        HostMath.difference(working, global.range(exchanged), update, exchanged.length());
        bytes += update.byteSize();
        return loss;
    }

    private static long receive(MemorySegment from, MemorySegment into) {
        into.copyFrom(from);
        return from.byteSize();
    }

    /** Accuracy at probability 0.5 (logit 0) and AUROC. */
    static PocReport.Score measure(Evaluator evaluator, PocSite validation, MemorySegment labels) {
        Predictions p = evaluator.pass(validation.source.epoch(0), labels);
        int right = 0;
        for (int i = 0; i < p.rows(); i++)
            if (p.logits()[i] > 0 == p.labels()[i] > 0.5f) right++;
        return new PocReport.Score((double) right / p.rows(), p.auroc(0).orElse(Double.NaN));
    }

    PocReport.Row row(PocFederation full) {
        List<PocReport.Round> last = rounds.subList(Math.max(0, rounds.size() - PocSettings.LAST), rounds.size());
        double accuracy = last.stream().mapToDouble(PocReport.Round::accuracy).average().orElseThrow();
        double spread = Math.sqrt(last.stream().mapToDouble(r -> Math.pow(r.accuracy() - accuracy, 2)).average()
                .orElseThrow());
        WeightTable table = global.table();
        long trained = table.range(Region.TRAINABLE).length();
        return new PocReport.Row(configuration.name(), trainerPrecision(), configuration.learningRate(),
                configuration.localEpochs(), accuracy,
                last.stream().mapToDouble(PocReport.Round::auroc).average().orElseThrow(), spread, secondsPerRound(),
                bytesPerRound(), table.range(Region.FROZEN).length() * Float.BYTES,
                full.secondsPerRound() / secondsPerRound(), imagesPerSecond(),
                imagesPerSecond() / full.imagesPerSecond(), (double) bytesPerRound() / full.bytesPerRound(), trained,
                trainer.program().plan().bytes(), 3 * trained * Float.BYTES, List.copyOf(rounds));
    }

    private String trainerPrecision() { return configuration.precision().name().toLowerCase(java.util.Locale.ROOT); }

    private double secondsPerRound() {
        return Figures.median(rounds.stream().mapToDouble(PocReport.Round::seconds).toArray());
    }

    private double imagesPerSecond() { return (double) images / rounds.size() / secondsPerRound(); }

    private long bytesPerRound() { return bytes / rounds.size() / updates.length; }

    @Override
    public void close() {
        evaluator.close();
        trainer.close();
        arena.close();
    }
}
