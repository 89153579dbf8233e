package isthmus.task;

import isthmus.data.BatchLoader;
import isthmus.data.ImageDataset;
import isthmus.data.LabelTable;
import java.nio.file.Path;
import java.util.List;

/** Labelled films in memory, and the loader that makes batches of them. */
public final class Films implements AutoCloseable {
    private final LabelTable table;
    private final ImageDataset data;
    private final BatchLoader loader;
    private final LoaderSource source;

    private Films(LabelTable table, ImageDataset data, BatchLoader.Options options) {
        this.table = table;
        this.data = data;
        try {
            this.loader = new BatchLoader(data, options);
        } catch (RuntimeException e) {
            data.close();
            throw e;
        }
        this.source = new LoaderSource(loader);
    }

    /** Films to train on: shuffled, varied, whole batches only. */
    public static Films training(Recipe recipe, List<Path> tables, int threads) {
        LabelTable table = table(recipe, tables);
        return new Films(table, decode(recipe, table, threads),
                BatchLoader.Options.training(Math.min(recipe.batch(), table.rows()), recipe.seed(), recipe.augment()));
    }

    /** Films to measure on: in order, unchanged, all of them. */
    public static Films evaluation(Recipe recipe, List<Path> tables, int threads) {
        LabelTable table = table(recipe, tables);
        return new Films(table, decode(recipe, table, threads), BatchLoader.Options.evaluation(recipe.batch()));
    }

    private static LabelTable table(Recipe recipe, List<Path> tables) {
        LabelTable.Options options = LabelTable.Options.standard().withUncertain(recipe.uncertain())
                .withDropUnlabeled(true);
        return LabelTable.concat(tables.stream().map(t -> LabelTable.read(t, recipe.labels(), options)).toList());
    }

    private static ImageDataset decode(Recipe recipe, LabelTable table, int threads) {
        return ImageDataset.load(table, recipe.preprocess(), ImageDataset.Options.standard().withThreads(threads));
    }

    /** Number of films. */
    public int size() { return data.size(); }

    /** Batches in a pass. */
    public int batches() { return loader.batches(); }

    /** The films themselves. */
    public ImageDataset data() { return data; }

    /** One line each for what is odd about tables and pictures but no reason to stop. */
    public List<String> warnings() {
        return java.util.stream.Stream.of(table.warnings(), data.problems(), data.warnings()).flatMap(List::stream)
                .toList();
    }

    LoaderSource epoch(long number) { return source.epoch(number); }

    @Override
    public void close() {
        loader.close();
        data.close();
    }
}
