package isthmus.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import de.siegmar.fastcsv.reader.CsvReader;
import de.siegmar.fastcsv.reader.NamedCsvRecord;

import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/**
 * Every odd or broken file gets the answer that expect.csv gives it. Another folder of the same form is taken with
 * -Dodd.dir=DIR.
 */
class OddFilesTest {
    private static final Path ODD = folder();
    private static final List<String> LABELS = List.of("No Finding", "Pneumonia", "COVID-19");

    /** How far a pixel may be from the plain film, for files that hold the same film, by what the format loses. */
    private static final Map<String, Integer> SAME_FILM = Map.ofEntries(Map.entry("images/png16.png", 0),
            Map.entry("images/png16_12bit.png", 1), Map.entry("images/png_alpha.png", 0),
            Map.entry("images/png_rgba.png", 0), Map.entry("images/png_palette.png", 0),
            Map.entry("images/png_inside.jpg", 0), Map.entry("images/jpeg_trailing_garbage.jpg", 0),
            Map.entry("images/jpeg_rgb.jpg", 3), Map.entry("images/jpeg_cmyk.jpg", 3),
            Map.entry("images/jpeg_progressive.jpg", 3), Map.entry("images/jpeg_exif_turned.jpg", 8));

    /** What was read, as the warnings it came with; throws what a refusal throws. */
    private static List<String> read(String file) {
        Path path = ODD.resolve(file);
        if (file.startsWith("images/"))
            return new ImageReader().read(path).flags().stream().map(Enum::name).toList();
        var options = LabelTable.Options.standard().withRoot(ODD);
        LabelTable table = LabelTable.read(path, LABELS, options);
        try (var data = ImageDataset.load(table, Preprocess.grey(64), ImageDataset.Options.standard())) {
            return data.warnings();
        }
    }

    private static void check(String file, String expect) {
        List<String> warnings;
        try {
            warnings = read(file);
        } catch (DataException e) {
            assertTrue(expect.contains("refuse"), () -> file + " must be read, but: " + e.getMessage());
            String name = Path.of(file).getFileName().toString();
            String named = file.endsWith("missing_image.csv")
                    ? "not_there.jpg"
                    : file.endsWith("bad_image.csv") ? "truncated_60.jpg" : name;
            assertTrue(e.getMessage().contains(named), () -> "the refusal does not name the file: " + e.getMessage());
            assertTrue(e.getMessage().lines().allMatch(line -> line.length() < 600),
                    () -> "too long to read: " + e.getMessage());
            return;
        }
        assertFalse(expect.equals("refuse"), () -> file + " was read, though it must be refused");
        if (expect.equals("ok"))
            assertEquals(List.of(), warnings, file);
        if (expect.equals("flag"))
            assertFalse(warnings.isEmpty(), () -> file + " was read without a warning");
    }

    @TestFactory
    Stream<DynamicTest> everyFileGetsItsAnswer() {
        List<NamedCsvRecord> rows = rows();
        assertTrue(rows.size() >= 40, () -> "only " + rows.size() + " rows of images and tables in " + ODD);
        return rows.stream().map(row -> DynamicTest.dynamicTest(row.getField("File") + ": " + row.getField("Expect"),
                () -> check(row.getField("File"), row.getField("Expect"))));
    }

    @TestFactory
    Stream<DynamicTest> theSameFilmReadsTheSameInEveryForm() {
        GreyImage plain = new ImageReader().read(ODD.resolve("images/plain.jpg"));
        return SAME_FILM.entrySet().stream().map(form -> DynamicTest.dynamicTest(form.getKey(), () -> {
            GreyImage image = new ImageReader().read(ODD.resolve(form.getKey()));
            int worst = 0;
            for (int y = 0; y < plain.height(); y++)
                for (int x = 0; x < plain.width(); x++)
                    worst = Math.max(worst, Math.abs(plain.at(x, y) - image.at(x, y)));
            assertTrue(worst <= form.getValue(), "a pixel differs by " + worst);
        }));
    }

    @Test
    void flagsSayWhatIsOdd() {
        assertEquals(List.of("BLACK"), read("images/black.png"));
        assertEquals(List.of("INVERTED"), read("images/inverted.jpg"));
        assertTrue(read("csv/twice_the_same_image.csv").getFirst().contains("opposite"));
    }

    private static List<NamedCsvRecord> rows() {
        var rows = new ArrayList<NamedCsvRecord>();
        try (CsvReader<NamedCsvRecord> reader = CsvReader.builder().ofNamedCsvRecord(ODD.resolve("expect.csv"))) {
            for (NamedCsvRecord row : reader)
                if (row.getField("File").startsWith("images/") || row.getField("File").startsWith("csv/"))
                    rows.add(row);
        } catch (IOException e) {
            throw new AssertionError("expect.csv cannot be read in " + ODD, e);
        }
        return rows;
    }

    private static Path folder() {
        String given = System.getProperty("odd.dir");
        try {
            return given != null && !given.isEmpty()
                    ? Path.of(given)
                    : Path.of(OddFilesTest.class.getResource("/odd").toURI());
        } catch (URISyntaxException e) {
            throw new AssertionError(e);
        }
    }
}
