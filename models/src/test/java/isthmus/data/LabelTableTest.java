package isthmus.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.data.LabelTable.Options;
import isthmus.data.LabelTable.Uncertain;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LabelTableTest {
    @TempDir
    Path folder;

    private Path csv(String text) {
        try {
            return Files.writeString(folder.resolve("labels.csv"), text, StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    private static float[] values(LabelTable table) {
        float[] all = new float[table.rows() * table.labels().size()];
        for (int i = 0; i < all.length; i++)
            all[i] = table.label(i / table.labels().size(), i % table.labels().size());
        return all;
    }

    private String refusal(String text, String... labels) {
        Path file = csv(text);
        DataException e = assertThrows(DataException.class,
                () -> LabelTable.read(file, List.of(labels), Options.standard()));
        assertTrue(e.getMessage().startsWith(file.toString()), e.getMessage());
        return e.getMessage();
    }

    private static void assertSays(String message, String... words) {
        for (String word : words)
            assertTrue(message.contains(word), () -> "\"" + word + "\" is missing in: " + message);
    }

    @ParameterizedTest
    @CsvSource({"IGNORE, -1", "ONES, 1", "ZEROS, 0"})
    void uncertainLabelsFollowThePolicyAndBlanksStayUnknown(Uncertain policy, float uncertain) {
        Path file = csv("A,Path,B\n1.0,a.png,0\n-1.0,b.png,\n,c.png,-1\n");
        LabelTable table = LabelTable.read(file, List.of("A", "B"), Options.standard().withUncertain(policy));
        assertArrayEquals(new float[]{1, 0, uncertain, -1, -1, uncertain}, values(table));
        assertEquals(List.of("A", "B"), table.labels());
        assertEquals(folder.resolve("b.png").toAbsolutePath(), table.file(1));
    }

    @Test
    void columnsComeInTheOrderAskedFor() {
        Path file = csv("Path,A,B,C\na.png,1,0,\n");
        assertArrayEquals(new float[]{-1, 1}, values(LabelTable.read(file, List.of("C", "A"), Options.standard())));
    }

    @Test
    void rowsWithoutAKnownLabelCanBeDropped() {
        Path file = csv("Path,A,B\na.png,,-1\nb.png,1,\nc.png,,\n");
        LabelTable kept = LabelTable.read(file, List.of("A", "B"), Options.standard());
        LabelTable dropped = LabelTable.read(file, List.of("A", "B"), Options.standard().withDropUnlabeled(true));
        assertEquals(3, kept.rows());
        assertEquals(1, dropped.rows());
        assertEquals(2, dropped.dropped());
        assertEquals("b.png", dropped.file(0).getFileName().toString());
        assertEquals(1, dropped.positives(0));
        assertEquals(0, dropped.negatives(0));
    }

    @Test
    void tablesOfSeveralSitesAreJoined() {
        LabelTable one = LabelTable.read(csv("Path,A\na.png,1\n"), List.of("A"), Options.standard());
        LabelTable two = LabelTable.read(csv("Path,A,B\nb.png,0,1\n"), List.of("A"), Options.standard());
        LabelTable other = LabelTable.read(csv("Path,A,B\nb.png,0,1\n"), List.of("B"), Options.standard());
        assertArrayEquals(new float[]{1, 0}, values(LabelTable.concat(List.of(one, two))));
        assertThrows(DataException.class, () -> LabelTable.concat(List.of(one, other)));
    }

    @Test
    void pathsAreRelativeToTheBaseAndStayInTheRoot() {
        Path inner = folder.resolve("tables");
        Path file = csv("Path,A\nimages/a.png,1\n");
        LabelTable table = LabelTable.read(file, List.of("A"), Options.standard().withBase(inner));
        assertEquals(inner.resolve("images/a.png").toAbsolutePath(), table.file(0));
        Path up = csv("Path,A\n../a.png,1\n");
        assertEquals(folder.resolve("a.png").toAbsolutePath(),
                LabelTable.read(up, List.of("A"), Options.standard().withBase(inner).withRoot(folder)).file(0));
        assertSays(refusal("Path,A\n../a.png,1\n", "A"), "line 2", "Path", "../a.png", "leads out");
        assertSays(refusal("Path,A\nx/../../a.png,1\n", "A"), "leads out");
        assertSays(refusal("Path,A\n/etc/hosts,1\n", "A"), "line 2", "/etc/hosts", "absolute");
    }

    @Test
    void refusalsNameLineColumnAndCure() {
        assertSays(refusal("Path,Pneumonia\na.png,1\nb.png,maybe\n", "Pneumonia"), "line 3", "\"Pneumonia\"",
                "\"maybe\"");
        assertSays(refusal("Path,A\na.png,2.0\n", "A"), "line 2", "2.0");
        assertSays(refusal("Path,A\na.png,1f\n", "A"), "1f");
        assertSays(refusal("Path,A\na.png,1e0\n", "A"), "1e0");
        assertSays(refusal("Path,A\na.png,nan\n", "A"), "nan");
        assertSays(refusal("Path,A\na.png,Infinity\n", "A"), "Infinity");
        assertSays(refusal("Path,A\na.png\n", "A"), "line 2", "1 fields", "2 columns");
        assertSays(refusal("Path,A\na.png,1,1\n", "A"), "line 2", "3 fields");
        assertSays(refusal("Path,A,A\na.png,1,0\n", "A"), "\"A\" twice", "columns 2 and 3");
        assertSays(refusal("Path;A\na.png;1\n", "A"), "semicolons", "commas");
        assertSays(refusal("Path\tA\na.png\t1\n", "A"), "tabs");
        assertSays(refusal("File,A\na.png,1\n", "A"), "no column \"Path\"");
        assertSays(refusal("Path,A\n", "A"), "no rows");
        assertSays(refusal("", "A"), "empty");
        assertSays(refusal("Path,A\na\0.png,1\n", "A"), "line 2", "NUL");
        assertSays(refusal("Path,A\n,1\n", "A"), "line 2", "no Path");
        assertSays(refusal("Path,A\n\"a.png,1\n", "A"), "no valid CSV", "quote");
    }

    @Test
    void aMistypedLabelIsMetWithTheNearest() {
        assertSays(refusal("Path,No Finding,Pneumonia\na.png,0,1\n", "pneumona"), "did you mean \"Pneumonia\"?");
        assertSays(refusal("Path,No Finding,Pneumonia\na.png,0,1\n", "Fracture"),
                "no column \"Fracture\" (columns: Path");
    }

    @Test
    void linesAreCountedThroughQuotedNewlines() {
        assertSays(refusal("Path,Note,A\na.png,\"two\nlines\",1\n\nb.png,,x\n", "A"), "line 5");
    }

    @Test
    void everyThirdRowIsAnEvenSample() {
        LabelTable all = LabelTable.read(csv("Path,A,B\na.png,1,0\nb.png,0,1\nc.png,1,1\nd.png,0,0\ne.png,1,\n"),
                List.of("A", "B"), Options.standard());
        LabelTable some = all.every(3);
        assertEquals(List.of(all.file(0), all.file(3)), List.of(some.file(0), some.file(1)));
        assertArrayEquals(new float[]{1, 0, 0, 0}, values(some));
        assertEquals(1, all.every(99).rows());
        assertThrows(IllegalArgumentException.class, () -> all.every(0));
    }

    @Test
    void labelsAskedForMustBeSensible() {
        Path file = csv("Path,A\na.png,1\n");
        assertThrows(DataException.class, () -> LabelTable.read(file, List.of(), Options.standard()));
        assertThrows(DataException.class, () -> LabelTable.read(file, List.of("A", "A"), Options.standard()));
        DataException e = assertThrows(DataException.class,
                () -> LabelTable.read(folder.resolve("none.csv"), List.of("A"), Options.standard()));
        assertSays(e.getMessage(), "none.csv", "not there");
    }

    @Test
    void oppositeLabelsOfOneImageAreWarnedOfAndEqualOnesNot() {
        LabelTable table = LabelTable.read(csv("Path,A,B\na.png,1,1\n./a.png,0,1\na.png,,1\n"), List.of("A", "B"),
                Options.standard());
        assertEquals(1, table.warnings().size(), () -> "" + table.warnings());
        assertSays(table.warnings().getFirst(), "a.png", "\"A\"", "opposite");
    }

    /** A sample is without repetition, in order, the seed's own, and fair. */
    @Test
    void aSampleIsDrawnByItsSeed(@TempDir Path folder) throws IOException {
        LabelTable all = Films.write(folder, 12);
        int[] drawn = new int[12];
        for (long seed = 0; seed < 600; seed++) {
            LabelTable some = all.sample(4, seed);
            assertEquals(4, some.rows());
            int before = -1;
            for (int row = 0; row < 4; row++) {
                int at = -1;
                for (int i = 0; i < 12; i++)
                    if (all.file(i).equals(some.file(row))) at = i;
                assertTrue(at > before, "in the table's order, none twice");
                assertEquals(all.label(at, 0), some.label(row, 0));
                drawn[at]++;
                before = at;
            }
        }
        for (int count : drawn)
            assertTrue(Math.abs(count - 200) < 60, "drawn " + count + " times of 600, 200 expected");
        assertEquals(all.sample(4, 7).file(0), all.sample(4, 7).file(0));
        assertEquals(12, all.sample(99, 1).rows());
    }
}
