package isthmus.profile;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.report.JsonFile;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** A profile's figures fit together, and so do those of its trace and of a timed step. How fast anything is, is not tested. */
class ProfileTest {
    private static final Workload WORK = new Workload("convnet2", 2, "fp32", 16, 1, 3, "adamw");

    private static Profile.Result profile;

    @BeforeAll
    static void measure() {
        try (Backend backend = Backends.cpu(1)) {
            profile = Profile.run(WORK, backend, 1, 3);
        }
    }

    private static JsonNode json(Object value) { return JsonMapper.shared().readTree(JsonFile.text(value)); }

    @Test
    void rowsAreTheStepsCallsAndAddUp() {
        assertEquals(profile.rows().size(), profile.calls());
        double sum = profile.rows().stream().mapToDouble(Profile.Row::ms).sum();
        assertEquals(sum, profile.callsMs(), 0.005001);
        assertEquals(1, profile.rows().stream().mapToDouble(Profile.Row::share).sum(), 1e-9);
        assertEquals(profile.stepMs() / sum, profile.overhead(), 0.01 * profile.overhead() + 0.005 / sum);
        List<String> ops = profile.rows().stream().map(Profile.Row::op).toList();
        assertTrue(ops.containsAll(List.of("conv", "conv_backward_weights", "linear", "max_pool", "adamw")),
                ops.toString());
        assertEquals("adamw", ops.getLast());
        for (Profile.Row r : profile.rows()) {
            assertTrue(r.ms() > 0 && r.roofline() >= 0, r.toString());
            assertEquals(r.bytes() / r.ms() / 1e6, r.gbPerS(), 1e-6 * r.gbPerS(), r.toString());
            assertEquals(r.flops() / r.ms() / 1e6, r.gflopPerS(), 1e-6 * r.gflopPerS(), r.toString());
            assertTrue(r.liveMb() <= profile.arenaMb() + 0.051, r.toString());
        }
    }

    /** The roofline is measured and not looked up: every call's share follows from it. */
    @Test
    void theRooflineIsWhatTheSharesAreOf() {
        assertTrue(profile.copyGbPerS() > 0 && profile.peakGflopPerS() > 0 && profile.hostUsPerCall() > 0);
        assertEquals(profile.peakF32GflopPerS(), profile.peakGflopPerS(), "of float32 there is one peak");
        for (Profile.Row r : profile.rows()) {
            double least = Math.max(r.bytes() / profile.copyGbPerS() / 1e6, r.flops() / profile.peakGflopPerS() / 1e6);
            assertEquals(least / r.ms(), r.roofline(), 0.1 * r.roofline(), r.toString());
        }
    }

    @Test
    void jsonHasWhatScriptsReadUnderItsNames() {
        JsonNode json = json(profile);
        for (String key : List.of("copy_gb_per_s", "peak_gflop_per_s", "host_us_per_call", "host_ms", "build_s",
                "build_again_s", "arena_mb", "weights_mb", "calls", "step_ms", "calls_ms", "overhead", "gb_per_step",
                "gflop_per_step"))
            assertTrue(json.path(key).isNumber() && json.get(key).asDouble() > 0, key + ": " + json.path(key));
        JsonNode row = json.get("rows").get(0);
        for (String key : List.of("op", "label", "implementation", "dtype", "shapes", "ms", "share", "bytes", "flops",
                "gb_per_s", "gflop_per_s", "roofline", "live_mb"))
            assertTrue(row.has(key), key);
    }

    @Test
    void theTraceShowsEveryCallBehindTheOneBefore() {
        JsonNode trace = json(ChromeTrace.of(profile));
        assertEquals("convnet2", trace.get("otherData").get("model").asString());
        List<String> names = new ArrayList<>();
        double end = 0;
        double last = 0;
        for (JsonNode event : trace.get("traceEvents")) {
            double at = event.get("ts").asDouble();
            assertTrue(at >= last, "time runs backwards at " + event);
            last = at;
            assertTrue(event.get("pid").isInt() && event.get("tid").isInt(), event.toString());
            if (event.get("ph").asString().equals("C")) continue;
            assertEquals("X", event.get("ph").asString());
            assertEquals(end, at, 1e-6, "calls neither overlap nor leave holes");
            end = at + event.get("dur").asDouble();
            names.add(event.get("name").asString());
        }
        assertEquals(profile.rows().stream().map(r -> r.op() + " " + r.label()).toList(), names);
        assertEquals(profile.rows().stream().mapToDouble(Profile.Row::ms).sum() * 1e3, end, 1e-3);
    }

    @Test
    void aTimedStepHasTheComparisonsFields() {
        StepBenchmark.Result result;
        try (Backend backend = Backends.cpu(1)) {
            result = StepBenchmark.run(WORK, backend, 1, 1, 4);
        }
        JsonNode json = json(result);
        for (String key : List.of("images_per_s", "step_ms", "step_ms_min", "step_ms_max", "peak_rss_mb", "arena_mb",
                "heap_bytes_per_step", "first_step_s", "final_loss", "build_s"))
            assertTrue(json.path(key).isNumber(), key + ": " + json.path(key));
        assertEquals("fp32", json.get("dtype").asString());
        assertEquals(4, json.get("steps").asInt());
        assertTrue(result.stepMsMin() <= result.stepMs() && result.stepMs() <= result.stepMsMax());
        assertEquals(2e3 / result.stepMs(), result.imagesPerS(), 0.02 * result.imagesPerS() + 10 / result.stepMs());
        assertTrue(result.firstStepS() >= result.buildS() && result.finalLoss() > 0);
    }
}
