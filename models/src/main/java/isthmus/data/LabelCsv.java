package isthmus.data;

import de.siegmar.fastcsv.reader.CsvParseException;
import de.siegmar.fastcsv.reader.CsvReader;
import de.siegmar.fastcsv.reader.CsvRecord;
import de.siegmar.fastcsv.reader.FieldMismatchStrategy;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/** Parses one CheXpert-style CSV strictly: what is not understood is refused with its line, never guessed. */
final class LabelCsv {
    static final long MAX_BYTES = 128L << 20;
    static final int MAX_COLUMNS = 4096;
    static final int MAX_ROWS = 4_000_000;
    private static final String PATH = "Path";
    private static final Pattern NUMBER = Pattern.compile("[-+]?\\d{1,9}(\\.\\d{0,9})?");

    private final Path csv;
    private final List<String> labels;
    private final LabelTable.Options options;
    private final Path base;
    private final Path root;
    private final List<String> warnings = new ArrayList<>();
    private final List<Path> files = new ArrayList<>();
    private float[] values = new float[1024];
    private int dropped;

    LabelCsv(Path csv, List<String> labels, LabelTable.Options options) {
        this.csv = csv;
        this.labels = List.copyOf(labels);
        this.options = options;
        if (labels.isEmpty() || new HashSet<>(labels).size() != labels.size())
            throw new DataException(csv + ": the labels asked for are " + labels + "; name at least one, each once");
        Path folder = csv.toAbsolutePath().normalize().getParent();
        if (folder == null)
            throw new DataException(csv + ": is a folder; name the CSV file in it");
        base = options.base().orElse(folder).toAbsolutePath().normalize();
        root = options.root().orElse(base).toAbsolutePath().normalize();
    }

    LabelTable read() {
        String text = decode(bytes());
        int nul = text.indexOf('\0');
        if (nul >= 0)
            throw refuse(lineOf(text, nul), "holds a NUL byte; it is damaged or not a text file: export it again");
        try (CsvReader<CsvRecord> reader = CsvReader.builder().extraFieldStrategy(FieldMismatchStrategy.IGNORE)
                .missingFieldStrategy(FieldMismatchStrategy.IGNORE)
                .skipEmptyLines(true).allowUnclosedQuote(false).ofCsvRecord(text)) {
            Header header = null;
            for (CsvRecord record : reader) {
                if (header == null)
                    header = header(record);
                else
                    row(header, record);
            }
            if (header == null)
                throw new DataException(csv + ": is empty; it needs a header line with " + PATH + " and label columns");
        } catch (CsvParseException | UncheckedIOException | IOException e) {
            throw new DataException(csv + ": is no valid CSV: " + e.getMessage()
                    + (e.getCause() == null ? "" : " (" + e.getCause().getMessage() + ")")
                    + "; look for a quote that is never closed, and export it again", e);
        }
        if (files.isEmpty())
            throw new DataException(csv + ": has "
                    + (dropped == 0
                            ? "a header but no rows; add one row an image"
                            : dropped + " rows, but none with a known value of " + labels
                                    + "; choose other labels or another policy for uncertain ones"));
        contradictions();
        return new LabelTable(labels, files, Arrays.copyOf(values, files.size() * labels.size()), warnings, dropped);
    }

    private byte[] bytes() {
        try {
            long size = Files.size(csv);
            if (size > MAX_BYTES)
                throw new DataException(csv + ": has " + size + " bytes, more than the " + MAX_BYTES
                        + " allowed; split the table");
            return Files.readAllBytes(csv);
        } catch (NoSuchFileException e) {
            throw new DataException(csv + ": is not there; check the path", e);
        } catch (IOException e) {
            throw new DataException(csv + ": cannot be read (" + e + "); check the path and its permissions", e);
        }
    }

    private String decode(byte[] bytes) {
        String text;
        try {
            text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
        } catch (CharacterCodingException e) {
            text = new String(bytes, StandardCharsets.ISO_8859_1);
            warnings.add(csv + ": is not UTF-8 and was read as Latin-1; save it as UTF-8 if names look wrong");
        }
        return text.startsWith("\uFEFF") ? text.substring(1) : text;
    }

    /** Where the wanted columns stand. */
    private static final class Header {
        final int path;
        final int[] labels;
        final int width;

        Header(int path, int[] labels, int width) {
            this.path = path;
            this.labels = labels;
            this.width = width;
        }
    }

    private Header header(CsvRecord record) {
        long line = record.getStartingLineNumber();
        List<String> names = record.getFields().stream().map(String::strip).toList();
        if (names.size() > MAX_COLUMNS)
            throw refuse(line, "has " + names.size() + " columns, more than the " + MAX_COLUMNS + " allowed");
        if (names.size() == 1 && (names.getFirst().contains(";") || names.getFirst().contains("\t")))
            throw refuse(line, "separates its columns by "
                    + (names.getFirst().contains(";") ? "semicolons" : "tabs") + "; save it with commas");
        Map<String, Integer> place = new HashMap<>();
        for (int i = 0; i < names.size(); i++) {
            Integer first = place.putIfAbsent(names.get(i), i);
            if (first != null && !names.get(i).isEmpty())
                throw refuse(line, "has the column \"" + names.get(i) + "\" twice (columns " + (first + 1) + " and "
                        + (i + 1) + "); remove or rename one");
        }
        int[] at = new int[labels.size()];
        for (int i = 0; i < at.length; i++)
            at[i] = column(labels.get(i), place, names, line);
        return new Header(column(PATH, place, names, line), at, names.size());
    }

    private int column(String name, Map<String, Integer> place, List<String> names, long line) {
        Integer at = place.get(name);
        if (at == null)
            throw refuse(line, "has no column \"" + name + "\""
                    + Nearest.of(name, names).map(near -> "; did you mean \"" + near + "\"?").orElse("")
                    + " (columns: " + String.join(", ", names) + ")");
        return at;
    }

    private void row(Header header, CsvRecord record) {
        long line = record.getStartingLineNumber();
        if (record.getFieldCount() != header.width)
            throw refuse(line, "has " + record.getFieldCount() + " fields where the header has " + header.width
                    + " columns; put fields that hold commas in quotes, or complete the row");
        if (files.size() >= MAX_ROWS)
            throw refuse(line, "is beyond the " + MAX_ROWS + " rows allowed; split the table");
        int width = labels.size();
        if (values.length < (files.size() + 1) * width)
            values = Arrays.copyOf(values, Math.max(values.length * 2, (files.size() + 1) * width));
        Path file = file(record.getField(header.path).strip(), line);
        boolean known = false;
        for (int i = 0; i < width; i++) {
            float value = label(record.getField(header.labels[i]).strip(), labels.get(i), line);
            values[files.size() * width + i] = value;
            known |= value != LabelTable.UNKNOWN;
        }
        if (known || !options.dropUnlabeled())
            files.add(file);
        else
            dropped++;
    }

    private Path file(String name, long line) {
        if (name.isEmpty())
            throw refuse(line, "has no " + PATH + "; name the image file or remove the row");
        Path relative;
        try {
            relative = Path.of(name);
        } catch (InvalidPathException e) {
            throw refuse(line, "column " + PATH + ": \"" + name + "\" is no file name (" + e.getReason() + ")");
        }
        if (relative.isAbsolute())
            throw refuse(line,
                    "column " + PATH + ": \"" + name + "\" is an absolute path; make it relative to " + base);
        Path file = base.resolve(relative).normalize();
        if (!file.startsWith(root))
            throw refuse(line, "column " + PATH + ": \"" + name + "\" leads out of the data folder " + root
                    + "; move the image into it or name a wider root");
        return file;
    }

    private float label(String text, String column, long line) {
        if (text.isEmpty())
            return LabelTable.UNKNOWN;
        // Java's own parser takes more ("1f", "0x1p0") than a table should hold.
        double value = NUMBER.matcher(text).matches() ? Double.parseDouble(text) : Double.NaN;
        if (value == 1)
            return 1;
        if (value == 0)
            return 0;
        if (value != -1)
            throw refuse(line, "column \"" + column + "\": found \"" + text
                    + "\" where a label is 1, 0, -1 (uncertain) or nothing; correct it or leave it blank");
        return switch (options.uncertain()) {
            case IGNORE -> LabelTable.UNKNOWN;
            case ONES -> 1;
            case ZEROS -> 0;
        };
    }

    /** The same image with opposite labels teaches nothing and usually means a mistake in the export. */
    private void contradictions() {
        Map<Path, Integer> first = new HashMap<>();
        int width = labels.size();
        for (int row = 0; row < files.size(); row++) {
            Integer earlier = first.putIfAbsent(files.get(row), row);
            for (int i = 0; earlier != null && i < width; i++) {
                float a = values[earlier * width + i];
                float b = values[row * width + i];
                if (a != b && a != LabelTable.UNKNOWN && b != LabelTable.UNKNOWN)
                    warnings.add(csv + ": " + root.relativize(files.get(row)) + " stands there twice with opposite \""
                            + labels.get(i) + "\" (images " + (earlier + 1) + " and " + (row + 1) + "); correct one");
            }
        }
    }

    private DataException refuse(long line, String what) {
        return new DataException(csv + ", line " + line + ": " + what);
    }

    private static long lineOf(String text, int end) {
        return 1 + text.chars().limit(end).filter(c -> c == '\n').count();
    }
}
