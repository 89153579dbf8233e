package isthmus.report;

import java.util.ArrayList;
import java.util.List;

/** A table in plain text: the first columns to the left, the others to the right; rows can be printed as they come. */
public final class TextTable {
    private final List<String> heads;
    private final int[] widths;
    private final int left;
    private final List<List<String>> rows = new ArrayList<>();

    /** A table with these headings, no column narrower than {@code least}; the first one to the left. */
    public TextTable(List<String> heads, int least) {
        this(heads, least, 1);
    }

    /** The same with {@code left} columns to the left. */
    public TextTable(List<String> heads, int least, int left) {
        this.heads = List.copyOf(heads);
        this.left = left;
        widths = heads.stream().mapToInt(h -> Math.max(least, h.length())).toArray();
    }

    /** Keeps a row for {@link #text}. */
    public TextTable add(List<String> cells) {
        if (cells.size() != widths.length)
            throw new IllegalArgumentException(cells.size() + " cells for " + widths.length + " columns");
        rows.add(List.copyOf(cells));
        for (int i = 0; i < widths.length; i++)
            widths[i] = Math.max(widths[i], cells.get(i).length());
        return this;
    }

    /** The headings, aligned. */
    public String header() { return line(heads); }

    /** One row, aligned. */
    public String line(List<String> cells) {
        var text = new StringBuilder();
        for (int i = 0; i < widths.length; i++) {
            String pad = " ".repeat(Math.max(0, widths[i] - cells.get(i).length()));
            text.append(i == 0 ? "" : "  ").append(i < left ? cells.get(i) + pad : pad + cells.get(i));
        }
        return text.toString().stripTrailing();
    }

    /** Headings, a rule and all kept rows, each with a line's end. */
    public String text() {
        var text = new StringBuilder(header()).append('\n').append("-".repeat(header().length())).append('\n');
        for (List<String> row : rows)
            text.append(line(row)).append('\n');
        return text.toString();
    }
}
