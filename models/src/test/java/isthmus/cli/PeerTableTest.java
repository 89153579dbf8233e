package isthmus.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.profile.Workload;
import isthmus.report.JsonFile;
import java.util.Locale;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** What a comparison makes of the lines that both sides print. */
class PeerTableTest {
    private static final Workload RESNET = new Workload("resnet34", 32, "amp", 224, 3, 18, "adamw");

    private static JsonNode line(String dtype, double ms, double rss) {
        return JsonMapper.shared().readTree(String.format(Locale.ROOT,
                "{\"model\":\"resnet34\",\"dtype\":\"%s\",\"step_ms\":%f,\"images_per_s\":%f,\"peak_rss_mb\":%f,\"torch\":\"2.x\"}",
                dtype, ms, 32e3 / ms, rss));
    }

    @Test
    void mediansOfEachSideAtItsFasterPrecisionAreCompared() {
        var table = new PeerTable();
        for (double ms : new double[]{800, 700, 9000}) { // one run met something else on the machine
            table.add("torch", line("bf16", ms, 2000));
            table.add("ours", line("bf16", ms / 2, 1000));
            table.add("torch", line("fp32", 3 * ms, 3000));
            table.add("ours", line("fp32", 2 * ms, 1500));
        }
        PeerTable.Row row = table.close(RESNET);
        assertEquals(800, row.torchBest().stepMs());
        assertEquals(400, row.oursBest().stepMs());
        assertEquals(2, row.speedup());
        assertEquals(0.5, row.memory());
        assertEquals(4, row.half());
        PeerTable.Report report = table.report("2026-11-21", "jemalloc", 2, 3, 6);
        JsonNode json = JsonMapper.shared().readTree(JsonFile.text(report));
        assertEquals(12, json.get("lines").size());
        assertEquals("torch", json.get("lines").get(0).get("side").asString());
        assertEquals(2, json.get("rows").get(0).get("speedup").asDouble());
        assertTrue(json.get("machine").get("cores").asInt() > 0 && json.get("date").asString().equals("2026-11-21"));
        String markdown = PeerTable.markdown(report);
        assertTrue(markdown.contains("| resnet34, 32, 224 | 2400.0 | 800.0 | 1600.0 | 400.0 | **2.00x** | 80.0 | 2000 |"
                + " 1000 | 0.50x | 4.00x |"), markdown);
        assertTrue(markdown.contains("2026-11-21") && markdown.contains("PyTorch 2.x"), markdown);
    }

    /** Where amp means float32, PyTorch may still be faster in bf16. */
    @Test
    void withoutFastHalfPrecisionOursHasOneSide() {
        var table = new PeerTable();
        table.add("torch", line("bf16", 500, 1));
        table.add("torch", line("fp32", 400, 1));
        table.add("ours", line("fp32", 200, 1));
        table.add("ours", line("fp32", 300, 1));
        PeerTable.Row row = table.close(RESNET);
        assertEquals("fp32", row.torchBest().dtype());
        assertEquals(1.6, row.speedup());
        assertEquals(1, row.half());
    }
}
