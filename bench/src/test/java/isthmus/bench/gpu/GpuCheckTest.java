package isthmus.bench.gpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** What becomes of parts that end well, fail, hang, or cannot be run; the parts themselves are proved by bench/gpu/prove.sh. */
class GpuCheckTest {
    @TempDir
    Path folder;

    private static Part part(String name, String script) {
        return new Part(name, "Part " + name, 1, 10, List.of("/bin/sh", "-c", script));
    }

    private GpuReport run(double limit, Part... parts) throws IOException, InterruptedException {
        var report = new GpuReport(folder, "cuda", 9, List.of(parts));
        for (Part p : parts)
            new PartRun(p, report, folder.resolve("log.txt")).run(limit);
        return report;
    }

    private JsonNode json() throws IOException {
        return JsonMapper.shared().readTree(Files.readString(folder.resolve("gpu.json")));
    }

    @Test
    void linesOfJsonAreResultsAndOthersAreLogged() throws Exception {
        Part p = part("a", "echo words; echo '{\"images_per_s\": 12}'; echo '{\"cut'; echo more >&2");
        GpuReport report = run(10, p);
        report.finish();
        assertEquals(GpuReport.Status.OK, report.row(p).status());
        assertEquals(12, json().get("parts").get(0).get("results").get(0).get("images_per_s").asInt());
        assertEquals(1, json().get("parts").get(0).get("results").size());
        assertTrue(json().get("finished").asBoolean());
        assertEquals(List.of("a: words", "a: {\"cut", "a: more"), Files.readAllLines(folder.resolve("log.txt")));
        assertTrue(report.isGood());
    }

    /** What came before the end is kept, the child of the child ends as well, and the next part goes on. */
    @Test
    void hangingPartIsCutAndTheNextGoesOn() throws Exception {
        Part hangs = part("hangs", "echo '{\"n\": 1}'; sleep 600 & echo '{\"pid\": '$!'}'; wait");
        Part next = part("next", "echo '{\"n\": 2}'");
        GpuReport report = run(1.5, hangs, next);
        assertEquals(GpuReport.Status.CUT, report.row(hangs).status());
        assertEquals(1, report.row(hangs).results().getFirst().get("n").asInt());
        long pid = report.row(hangs).results().get(1).get("pid").asLong();
        ProcessHandle.of(pid).ifPresent(p -> p.onExit().join());
        assertEquals(GpuReport.Status.OK, report.row(next).status());
        assertFalse(report.isGood());
    }

    @Test
    void failureSaysWhatWasThrown() throws Exception {
        Part fails = part("fails",
                "echo 'Exception in thread \"main\" NativeException: out of memory' >&2; echo ' at X' >&2; exit 1");
        Part notHere = part("not-here", "echo 'there is no PyTorch' >&2; exit 3");
        Part absent = new Part("absent", "A program that is not there", 1, 10, List.of("/no/such/program"));
        GpuReport report = run(10, fails, notHere, absent);
        assertEquals("NativeException: out of memory", report.row(fails).words());
        assertEquals(GpuReport.Status.FAILED, report.row(fails).status());
        assertEquals(GpuReport.Status.NOT_RUN, report.row(notHere).status());
        assertEquals("there is no PyTorch", report.row(notHere).words());
        assertEquals(GpuReport.Status.FAILED, report.row(absent).status());
        String markdown = Files.readString(folder.resolve("gpu.md"));
        assertTrue(markdown.contains("| fails | failed |"), markdown);
        assertTrue(markdown.contains("there is no PyTorch"), markdown);
    }

    /** The file names every part from the first moment on, so that a run that was cut says what is missing. */
    @Test
    void allPartsStandInTheFileBeforeAnyHasRun() throws Exception {
        List<Part> parts = new Parts("cuda", "python3", folder, new Bundle(folder)).all();
        new GpuReport(folder, "cuda", 9, parts);
        JsonNode rows = json().get("parts");
        assertEquals(parts.size(), rows.size());
        assertEquals(parts.size(), parts.stream().map(Part::name).distinct().count());
        assertEquals("WAITING", rows.get(parts.size() - 1).get("status").asString());
        assertFalse(json().get("finished").asBoolean());
    }

    /** In an order of worth; each of our steps that PyTorch can do has a row of PyTorch's beside it. */
    @Test
    void partsAreInOrderOfWorth() {
        List<String> names = new Parts("cuda", "python3", folder, new Bundle(folder)).all().stream().map(Part::name)
                .toList();
        assertEquals(List.of("versions", "reference", "conv3d", "step-densenet121-256"), names.subList(0, 4));
        for (String name : names)
            if (name.matches("step-[a-z0-9_]+-\\d+"))
                assertTrue(names.contains(name.replace("step-", "pytorch-")), name);
        Optional<String> last = names.stream().filter(n -> n.equals("profile")).findFirst();
        assertTrue(last.isPresent());
    }
}
