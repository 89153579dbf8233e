package isthmus.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import de.siegmar.fastcsv.reader.CsvReader;
import de.siegmar.fastcsv.reader.NamedCsvRecord;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The bundled sample is whole, within its licences, and as the README says. */
class SampleTest {
    private static final Path SAMPLE = Path.of("src/main/sample/cxr");

    private static LabelTable table(String site, String split) {
        return LabelTable.read(SAMPLE.resolve(site).resolve(split + ".csv"), List.of("Pneumonia"),
                LabelTable.Options.standard());
    }

    @ParameterizedTest
    @CsvSource({"site_a,train,73,99,0", "site_a,val,18,24,0", "site_b,train,175,180,0", "site_b,val,49,46,0",
            "site_c,train,130,221,4", "site_c,val,35,34,4"})
    void everyFilmCanBeReadAndTheBalanceIsKept(String site, String split, int ones, int zeros, int unknown) {
        LabelTable table = table(site, split);
        assertEquals(ones, table.positives(0));
        assertEquals(zeros, table.negatives(0));
        assertEquals(ones + zeros + unknown, table.rows());
        var options = ImageDataset.Options.standard().withBadLimit(0);
        try (var data = ImageDataset.load(table, Preprocess.grey(128), options)) {
            assertEquals(table.rows(), data.size());
            assertEquals(List.of(), data.warnings());
        }
    }

    @Test
    void onlyFreeFilmsAreBundledAndEachIsInTheTables() throws IOException {
        Set<String> listed = new HashSet<>();
        try (CsvReader<NamedCsvRecord> rows = CsvReader.builder().ofNamedCsvRecord(SAMPLE.resolve("sources.csv"))) {
            for (NamedCsvRecord row : rows) {
                String licence = row.getField("Licence");
                assertTrue(licence.equals("CC BY 4.0") || licence.equals("CC BY 3.0")
                        || licence.startsWith("NIH Clinical Center: usage unrestricted"), licence);
                listed.add(row.getField("Path"));
            }
        }
        Set<String> inTables = new HashSet<>();
        for (String site : List.of("site_a", "site_b", "site_c"))
            for (String split : List.of("train", "val")) {
                LabelTable table = table(site, split);
                for (int i = 0; i < table.rows(); i++)
                    inTables.add(SAMPLE.toAbsolutePath().relativize(table.file(i)).toString());
            }
        Set<String> onDisk = new HashSet<>();
        long bytes = 0;
        try (Stream<Path> files = Files.walk(SAMPLE)) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                bytes += Files.size(file);
                if (file.toString().endsWith(".jpg"))
                    onDisk.add(SAMPLE.relativize(file).toString());
            }
        }
        assertFalse(onDisk.isEmpty());
        assertEquals(onDisk, inTables);
        assertEquals(onDisk, listed);
        assertTrue(bytes < 12_000_000, bytes + " bytes");
    }

    @Test
    void noPatientIsInTwoSplitsOrSites() {
        Map<String, String> home = new HashMap<>();
        for (String site : List.of("site_a", "site_b", "site_c"))
            for (String split : List.of("train", "val")) {
                LabelTable table = table(site, split);
                for (int i = 0; i < table.rows(); i++) {
                    String patient = table.file(i).getParent().getParent().getFileName().toString();
                    String before = home.putIfAbsent(patient, site + split);
                    assertTrue(before == null || before.equals(site + split), patient + " is in two places");
                }
            }
        assertTrue(home.size() > 700, home.size() + " patients");
    }
}
