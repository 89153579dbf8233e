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

    /** Films to train on: shuffled and varied; whole batches only, unless the recipe wants the rest as well. */
    public static Films training(Recipe recipe, List<Path> tables, int threads) {
        return training(recipe, table(recipe, tables), threads);
    }

    /** The few films of a warm start, chosen by the recipe's seed: every one of them in every pass. */
    public static Films few(Recipe recipe, List<Path> tables, int threads) {
        LabelTable all = table(recipe, tables);
        Recipe.Loader l = recipe.data().loader();
        Recipe whole = recipe.with(new Recipe.Loader(l.batch(), l.accumulate(), false, l.workers(), l.prefetch()));
        return training(whole, all.sample(recipe.course().warmStart().films(all.rows()), recipe.seed()), threads);
    }

    private static Films training(Recipe recipe, LabelTable table, int threads) {
        return new Films(table, decode(recipe, table, threads),
                recipe.data().loader().training(table.rows(), recipe.seed(), recipe.data().augment()));
    }

    /** Films to measure on: in order, unchanged, all of them. */
    public static Films evaluation(Recipe recipe, List<Path> tables, int threads) {
        LabelTable table = table(recipe, tables);
        return new Films(table, decode(recipe, table, threads), recipe.data().loader().evaluation());
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

    /** Films in a batch. */
    public int batchSize() { return loader.batchSize(); }

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
