package isthmus.data;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * The labelled images of a CheXpert-style CSV: a {@code Path} column and label columns holding 1, 0, -1 (uncertain) or
 * nothing (nobody said).
 *
 * <p>
 * A value is 1 (present), 0 (absent) or {@value #UNKNOWN} (unknown: losses and metrics leave it out).
 */
public final class LabelTable {
    /** The value of a label that nobody gave, or that was uncertain under {@link Uncertain#IGNORE}. */
    public static final float UNKNOWN = -1;

    /** A stream of random numbers that no picture and no shuffle uses. */
    private static final long SAMPLE = -2;

    /** What an uncertain label (-1 in the file) counts as. */
    public enum Uncertain {
        /** Unknown: left out. */
        IGNORE,
        /** Present. */
        ONES,
        /** Absent. */
        ZEROS
    }

    /**
     * How a table is read.
     *
     * @param base          folder that paths are relative to; by default the CSV's own
     * @param root          folder that no path may leave, by its text (links inside it are the hospital's own affair); by
     *                      default {@code base}
     * @param uncertain     what -1 counts as
     * @param dropUnlabeled whether rows whose chosen labels are all unknown are left out
     */
    public record Options(Optional<Path> base, Optional<Path> root, Uncertain uncertain, boolean dropUnlabeled) {
        /** Paths relative to the CSV's folder and inside it, uncertain labels ignored, every row kept. */
        public static Options standard() {
            return new Options(Optional.empty(), Optional.empty(), Uncertain.IGNORE, false);
        }

        public Options withBase(Path folder) {
            return new Options(Optional.of(folder), root, uncertain, dropUnlabeled);
        }

        public Options withRoot(Path folder) {
            return new Options(base, Optional.of(folder), uncertain, dropUnlabeled);
        }

        public Options withUncertain(Uncertain policy) { return new Options(base, root, policy, dropUnlabeled); }

        public Options withDropUnlabeled(boolean drop) { return new Options(base, root, uncertain, drop); }
    }

    private final List<String> labels;
    private final List<Path> files;
    private final float[] values;
    private final List<String> warnings;
    private final int dropped;

    LabelTable(List<String> labels, List<Path> files, float[] values, List<String> warnings, int dropped) {
        this.labels = List.copyOf(labels);
        this.files = List.copyOf(files);
        this.values = values;
        this.warnings = List.copyOf(warnings);
        this.dropped = dropped;
    }

    /**
     * Reads {@code csv}, taking the label columns of these names in this order.
     *
     * @throws DataException if the file is no strict CSV of this form; the text names file, line and column. Nothing is
     *                       said yet about the images themselves.
     */
    public static LabelTable read(Path csv, List<String> labels, Options options) {
        return new LabelCsv(csv, labels, options).read();
    }

    /** Puts tables with the same labels behind each other, as when several sites' data are pooled. */
    public static LabelTable concat(List<LabelTable> tables) {
        if (tables.isEmpty())
            throw new DataException("there is no table to join; give at least one CSV");
        List<String> labels = tables.getFirst().labels;
        var files = new ArrayList<Path>();
        var warnings = new ArrayList<String>();
        int dropped = 0;
        for (LabelTable table : tables) {
            if (!table.labels.equals(labels))
                throw new DataException("tables with the labels " + labels + " and " + table.labels
                        + " cannot be joined; read each with the same labels in the same order");
            files.addAll(table.files);
            warnings.addAll(table.warnings);
            dropped += table.dropped;
        }
        float[] values = new float[files.size() * labels.size()];
        int at = 0;
        for (LabelTable table : tables) {
            System.arraycopy(table.values, 0, values, at, table.values.length);
            at += table.values.length;
        }
        return new LabelTable(labels, files, values, warnings, dropped);
    }

    /** Every so-manieth row from the first on: an even sample, the same every time. */
    public LabelTable every(int step) {
        if (step < 1)
            throw new IllegalArgumentException("a table's every " + step + "th row; it is the 1st or a later one");
        int width = labels.size();
        var some = new ArrayList<Path>();
        for (int row = 0; row < files.size(); row += step)
            some.add(files.get(row));
        float[] their = new float[some.size() * width];
        for (int i = 0; i < some.size(); i++)
            System.arraycopy(values, i * step * width, their, i * width, width);
        return new LabelTable(labels, some, their, warnings, dropped);
    }

    /**
     * Some of the rows, chosen by a seed, in the table's order; every row has the same chance.
     *
     * @param count how many; at most all
     */
    public LabelTable sample(int count, long seed) {
        int rows = rows();
        int take = Math.min(count, rows);
        var random = new CounterRandom();
        random.at(seed, 0, SAMPLE);
        var chosen = new ArrayList<Path>();
        float[] kept = new float[take * labels.size()];
        for (int row = 0; row < rows && chosen.size() < take; row++) {
            // Knuth's selection sampling: each row with the chance of what is still wanted among what is left.
            if (random.nextInt(rows - row) >= take - chosen.size()) continue;
            System.arraycopy(values, row * labels.size(), kept, chosen.size() * labels.size(), labels.size());
            chosen.add(files.get(row));
        }
        return new LabelTable(labels, chosen, kept, warnings, dropped);
    }

    /** Number of images. */
    public int rows() { return files.size(); }

    /** The label names, in the order asked for. */
    public List<String> labels() { return labels; }

    /** The image file of a row: absolute, inside the allowed root. */
    public Path file(int row) {
        return files.get(row);
    }

    /** 1, 0 or {@link #UNKNOWN}. */
    public float label(int row, int label) {
        return values[row * labels.size() + checkedLabel(label)];
    }

    /** Rows in which the label is 1. */
    public int positives(int label) { return count(label, 1); }

    /** Rows in which the label is 0. */
    public int negatives(int label) { return count(label, 0); }

    /** Rows left out because none of the chosen labels was known. */
    public int dropped() { return dropped; }

    /** What a careful person would look at before training; empty if nothing. */
    public List<String> warnings() {
        return warnings;
    }

    private int count(int label, float value) {
        checkedLabel(label);
        int count = 0;
        for (int at = label; at < values.length; at += labels.size())
            if (values[at] == value)
                count++;
        return count;
    }

    private int checkedLabel(int label) {
        if (label < 0 || label >= labels.size())
            throw new IndexOutOfBoundsException("label " + label + " of " + labels.size());
        return label;
    }

    @Override
    public String toString() { return rows() + " images, labels " + labels + ", values " + Arrays.hashCode(values); }
}
