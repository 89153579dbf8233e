package isthmus.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.task.Recipe;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The whole path with real parts: certificates, processes, wires, training, ONNX; two hospitals, one round. */
class DemoTest {
    @TempDir
    Path folder;

    @Test
    void oneRoundFromCertificatesToAFinding() throws Exception {
        List<Hospital> two = Hospital.in(CommandLineTest.sample()).stream().filter(h -> !h.name().equals("site_b"))
                .toList();
        var silent = new Terminal(new PrintStream(PrintStream.nullOutputStream()),
                new PrintStream(PrintStream.nullOutputStream()), false, false);
        DemoReport report = new Demo(silent, folder, two, 1, isthmus.task.Compute.cpu(2)).run();
        assertEquals(1, report.rounds());
        long parameters = Recipe.pneumonia().build().table().elements();
        assertEquals(parameters, report.parameters());
        assertEquals(4 * parameters, report.bytesUpPerSiteRound());
        assertTrue(report.onnxMaxAbsDiff() < 1e-4, "ONNX differs by " + report.onnxMaxAbsDiff());
        assertEquals(List.of("site_a", "site_c"), report.sites().stream().map(DemoReport.Site::name).toList());
        for (DemoReport.Site site : report.sites()) {
            assertTrue(site.aurocAlone() > 0 && site.aurocAlone() <= 1, site.toString());
            assertEquals(site.aurocFederated(), report.history().getLast().auroc().get(site.name()), 1e-9,
                    "what the site reported is what we measure on the fetched model");
        }
        assertTrue(report.finding().probability() > 0 && report.finding().probability() < 1);
        for (String file : List.of(report.model(), report.onnx(), report.curves()))
            assertTrue(Files.size(Path.of(file)) > 1000, file);
    }
}
