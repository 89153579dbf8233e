package isthmus.experiment;

import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.backend.Precision;
import isthmus.data.LabelTable;
import isthmus.nn.Model;
import isthmus.task.CoreLease;
import isthmus.task.LoaderSource;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import isthmus.train.Evaluator;
import isthmus.train.Trainer;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The proof of concept: ConvNet2 on chest films of three sites, in four configurations, full or LoRA, float32 or mixed
 * precision. All begin with the same warm start, which LoRA's frozen base needs, and take turns round by round, so that
 * what else the machine does falls on all alike.
 */
public final class Poc {
    /** One site's tables of films. */
    public record Site(String name, Path train, Path validation) {}

    /** Told as the run goes on. */
    public interface Listener {
        /** Films are read and the warm start is done. */
        void ready(int films, int valFilms, PocReport.Score warmStart);

        /** One configuration has done a round. */
        void round(int round, String configuration, PocReport.Round result);
    }

    private static final double WARM_RATE = 5e-4;

    private final PocSettings settings;
    private final Listener listener;
    private final List<PocSite> open = new ArrayList<>();
    private final long began = System.nanoTime();

    private Poc(PocSettings settings, Listener listener) {
        this.settings = settings;
        this.listener = listener;
    }

    /** Runs the experiment. */
    public static PocReport run(PocSettings settings, List<Site> sites, Machine machine, Listener listener)
            throws IOException {
        Poc poc = new Poc(settings, listener);
        try (CoreLease lease = CoreLease.acquire(settings.threads());
                Backend backend = Backends.cpu(settings.threads());
                Arena arena = Arena.ofShared()) {
            backend.enter();
            return poc.run(sites, machine, backend, arena);
        } finally {
            poc.open.forEach(PocSite::close);
        }
    }

    /** What the figures are of: the machine's name, and what AMP means on it. */
    public record Machine(String name, String amp) {}

    private PocReport run(List<Site> sites, Machine machine, Backend backend, Arena arena) {
        List<LabelTable> tables = sites.stream().map(s -> PocSite.table(List.of(s.train))).toList();
        List<PocSite> training = tables.stream().map(t -> open(PocSite.training(t, settings))).toList();
        PocSite validation = open(
                PocSite.validation(PocSite.table(sites.stream().map(Site::validation).toList()), settings));
        Model plain = LoaderSource.fed(Zoo.model("convnet2", Shape.of(1, settings.size(), settings.size()), 1,
                ModelOptions.dropout(PocSettings.DROPOUT)), PocSite.preprocess(settings));
        WeightBuffer start = WeightBuffer.allocate(plain.table(), arena);
        warmStart(plain, start, tables, backend);
        int films = training.stream().mapToInt(PocSite::films).sum();
        PocReport.Score warm = score(plain, start, validation, backend, arena);
        listener.ready(films, validation.films(), warm);
        List<PocFederation> four = new ArrayList<>();
        try {
            for (PocSettings.Configuration c : PocSettings.four())
                four.add(new PocFederation(c, settings, plain, start, training, backend));
            for (int round = 1; round <= settings.rounds(); round++) {
                for (PocFederation f : four) {
                    f.round(round, validation);
                    listener.round(round, f.configuration.name(), f.rounds.getLast());
                }
            }
            return new PocReport(machine.name, machine.amp, settings, films, validation.films(), warm,
                    four.stream().map(f -> f.row(four.getFirst())).toList(), (System.nanoTime() - began) / 1e9);
        } finally {
            four.forEach(PocFederation::close);
        }
    }

    private PocSite open(PocSite site) {
        open.add(site);
        return site;
    }

    /** Full training in float32 on a few films of every site. */
    private void warmStart(Model plain, WeightBuffer start, List<LabelTable> tables, Backend backend) {
        plain.initialize(start, settings.seed());
        if (settings.warmEpochs() == 0) return;
        int all = tables.stream().mapToInt(LabelTable::rows).sum();
        int every = Math.max(1, all / settings.warmFilms());
        LabelTable some = LabelTable.concat(tables.stream().map(t -> t.every(every)).toList());
        try (PocSite films = PocSite.training(some, settings);
                Trainer trainer = new Trainer(plain, PocFederation.options(WARM_RATE, Precision.FP32,
                        films.source.batchSize(), settings.seed()), backend)) {
            trainer.weights().copyFrom(start);
            for (int e = 1; e <= settings.warmEpochs(); e++)
                trainer.pass(films.source.epoch(e), (step, of, samples, mean) -> {});
            start.copyFrom(trainer.weights());
        }
    }

    private PocReport.Score score(Model plain, WeightBuffer start, PocSite validation, Backend backend, Arena arena) {
        MemorySegment labels = arena.allocate((long) settings.batch() * Float.BYTES, 64);
        try (Evaluator e = new Evaluator(plain, start, settings.batch(), Precision.FP32, backend)) {
            return PocFederation.measure(e, validation, labels);
        }
    }
}
