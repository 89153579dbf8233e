package isthmus.profile;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * A profile as a trace that chrome://tracing and ui.perfetto.dev show: one step, call after call, and the memory that is
 * taken meanwhile. The format is the Trace Event Format's array of complete ("X") and counter ("C") events.
 */
public final class ChromeTrace {
    private ChromeTrace() {}

    /** The trace as one JSON object; times are microseconds from the step's begin. */
    public static Map<String, Object> of(Profile.Result profile) {
        List<Object> events = new ArrayList<>();
        double at = 0;
        for (Profile.Row row : profile.rows()) {
            double us = row.ms() * 1e3;
            events.add(event("X", row.op() + " " + row.label(), at,
                    Map.of("dur", us, "cat", row.op(), "args", args(row))));
            events.add(event("C", "arena", at, Map.of("args", Map.of("MiB", row.liveMb()))));
            at += us;
        }
        Map<String, Object> trace = new LinkedHashMap<>();
        trace.put("displayTimeUnit", "ms");
        trace.put("otherData", Map.of("model", profile.model(), "batch", profile.batch(), "dtype", profile.dtype(),
                "machine", profile.machine()));
        trace.put("traceEvents", events);
        return trace;
    }

    private static Map<String, Object> event(String phase, String name, double at, Map<String, Object> more) {
        Map<String, Object> event = new LinkedHashMap<>();
        event.put("name", name);
        event.put("ph", phase);
        event.put("ts", at);
        event.put("pid", 1);
        event.put("tid", 1);
        event.putAll(more);
        return event;
    }

    private static Map<String, Object> args(Profile.Row row) {
        Map<String, Object> args = new LinkedHashMap<>();
        args.put("implementation", row.implementation());
        args.put("shapes", row.shapes());
        args.put("GB/s", String.format(Locale.ROOT, "%.1f", row.gbPerS()));
        args.put("GFLOP/s", String.format(Locale.ROOT, "%.1f", row.gflopPerS()));
        args.put("roofline", String.format(Locale.ROOT, "%.0f %%", 100 * row.roofline()));
        return args;
    }
}
