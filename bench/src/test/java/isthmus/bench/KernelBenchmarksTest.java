package isthmus.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The harness runs, and its figures fit together; how fast anything is, is not tested. */
class KernelBenchmarksTest {
    @TempDir
    Path folder;

    @Test
    void aBenchmarkRunsBesideTheCopyAndItsFiguresFit() throws Exception {
        Path file = folder.resolve("kernels.json");
        assertEquals(0, KernelBenchmarks.execute(true, "--threads", "1", "--seconds", "0.02", "--json",
                file.toString(), "--films", sample().toString(), "CastBenchmark.fromFloat32",
                "LoaderBenchmark.plainFilm", "FoldBenchmark"));
        JsonNode report = JsonMapper.shared().readTree(Files.readString(file));
        assertEquals(1, report.get("threads").asInt());
        double copy = report.get("copy_gb_per_s").asDouble();
        assertTrue(copy > 0, report.toString());
        List<String> names = new ArrayList<>();
        for (JsonNode row : report.get("rows")) {
            names.add(row.get("benchmark").asString() + " " + row.get("parameters").asString());
            double gb = row.get("gb_per_s").asDouble();
            assertTrue(gb > 0 && row.get("ms").asDouble() > 0, row.toString());
            assertEquals(gb / copy, row.get("of_copy").asDouble(), 0.01 * gb / copy + 1e-3, row.toString());
        }
        assertEquals(List.of("CastBenchmark.fromFloat32 precision=BF16", "CastBenchmark.fromFloat32 precision=F16",
                "CopyBenchmark.copy ", "FoldBenchmark.fold sites=3", "FoldBenchmark.fold sites=8",
                "LoaderBenchmark.plainFilm workers=1", "LoaderBenchmark.plainFilm workers=2"),
                names.stream().sorted().toList());
    }

    private static Path sample() {
        Path here = Path.of("models/src/main/sample/cxr/site_a/val.csv");
        return Files.exists(here) ? here : Path.of("..").resolve(here);
    }

    @Test
    void anUnknownOptionIsAWrongUse() { assertEquals(2, KernelBenchmarks.execute(true, "--thread", "1")); }
}
