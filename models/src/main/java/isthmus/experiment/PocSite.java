package isthmus.experiment;

import isthmus.data.Augment;
import isthmus.data.BatchLoader;
import isthmus.data.ImageDataset;
import isthmus.data.LabelTable;
import isthmus.data.Preprocess;
import isthmus.task.LoaderSource;
import java.nio.file.Path;
import java.util.List;

/** Films in memory, and batches of them. */
final class PocSite implements AutoCloseable {
    private final ImageDataset data;
    private final BatchLoader loader;
    final LoaderSource source;

    private PocSite(LabelTable table, PocSettings settings, BatchLoader.Options options) {
        this.data = ImageDataset.load(table, preprocess(settings),
                ImageDataset.Options.standard().withThreads(settings.threads()));
        try {
            this.loader = new BatchLoader(data, options);
        } catch (RuntimeException e) {
            data.close();
            throw e;
        }
        this.source = new LoaderSource(loader);
    }

    static Preprocess preprocess(PocSettings settings) { return Preprocess.grey(settings.size()); }

    /** Films whose label is known. */
    static LabelTable table(List<Path> tables) {
        LabelTable.Options options = LabelTable.Options.standard().withUncertain(LabelTable.Uncertain.IGNORE)
                .withDropUnlabeled(true);
        return LabelTable
                .concat(tables.stream().map(t -> LabelTable.read(t, List.of(PocSettings.LABEL), options)).toList());
    }

    /** Shuffled, whole batches only, not varied: the four configurations see the same films in the same order. */
    static PocSite training(LabelTable table, PocSettings s) {
        return new PocSite(table, s,
                BatchLoader.Options.training(Math.min(s.batch(), table.rows()), s.seed(), Augment.NONE));
    }

    static PocSite validation(LabelTable table, PocSettings s) {
        return new PocSite(table, s, BatchLoader.Options.evaluation(s.batch()));
    }

    int films() { return data.size(); }

    @Override
    public void close() {
        loader.close();
        data.close();
    }
}
