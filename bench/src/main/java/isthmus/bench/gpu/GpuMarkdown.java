package isthmus.bench.gpu;

import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import tools.jackson.databind.JsonNode;

/** The report for people. */
final class GpuMarkdown {
    /** What the project wants of one H200: samples a second, and how many times PyTorch's; 0 where nothing is said. */
    private record Goal(double samples, double timesPeer) {}

    private static final Goal NONE = new Goal(0, 0);
    private static final Map<String, Goal> GOALS = Map.of("step-densenet121-256", new Goal(9_000, 1.6),
            "step-resnet34-256", new Goal(16_000, 1.2), "step-efficientnet_b0-256", new Goal(14_000, 1.5),
            "step-densenet121-32", new Goal(7_000, 0), "step-densenet121-16", new Goal(5_000, 0), "step-segresnet-4",
            new Goal(190, 0), "step-retinanet3d-4", new Goal(33, 0));

    private final GpuReport.Whole report;
    private final StringBuilder text = new StringBuilder();

    private GpuMarkdown(GpuReport.Whole report) { this.report = report; }

    static String of(GpuReport.Whole report) { return new GpuMarkdown(report).write(); }

    private String write() {
        text.append("# Check of a GPU\n\n");
        text.append(String.format(Locale.ROOT, "%s, %s, %.0f s of %.1f minutes%s.%n", report.device(),
                report.started(), report.seconds(), report.minutes(), report.finished() ? "" : "; not finished"));
        if (report.emulated())
            text.append("\n**On the emulation, with tiny sizes: this proves the check. Its speeds mean nothing.**\n");
        versions();
        steps();
        parts();
        table("ceilings", "what", "shape", "ms", "tb_per_s", "tflop_per_s");
        table("profile", "op", "calls", "ms", "share", "gb_per_s", "tflop_per_s", "roofline");
        table("conv3d", "convolution", "result", "type", "distance", "most");
        failures();
        return text.toString();
    }

    private Optional<GpuReport.Row> row(String name) {
        return report.parts().stream().filter(r -> r.name().equals(name)).findFirst();
    }

    private void versions() {
        row(Parts.VERSIONS).stream().flatMap(r -> r.results().stream()).forEach(v -> {
            v.path("problems").forEach(p -> text.append("\n- **missing**: ").append(p.asString()));
            for (String list : List.of("found", "nvidia_smi"))
                v.path(list).forEach(p -> text.append("\n- ").append(p.asString()));
            text.append("\n- ").append(v.path("machine").asString("")).append("; ")
                    .append(v.path("system").asString(""))
                    .append("; Java ").append(v.path("jvm").asString("")).append('\n');
        });
    }

    /** Every network beside PyTorch, if there is a row for it. */
    private void steps() {
        List<GpuReport.Row> all = report.parts().stream().filter(r -> r.name().startsWith("step-")).toList();
        if (all.isEmpty()) return;
        text.append("\n## Training steps\n\n| step | samples/s | goal | PyTorch | compiled | times the better | floor |"
                + " GB planned | taken | GPU busy | nvidia-smi | host us | heap B | first step s |\n"
                + "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
        all.forEach(this::step);
        text.append("\nFloor: what the plan's bytes and operations allow on an H200. Host: until a step's calls have"
                + " returned. Heap: bytes allocated on the Java heap a step.\n");
    }

    private void step(GpuReport.Row r) {
        if (r.results().isEmpty()) {
            text.append("| ").append(r.title()).append(" | ").append(word(r)).append(" |||||||||||||\n");
            return;
        }
        JsonNode s = r.results().getFirst();
        Goal goal = report.emulated() ? NONE : GOALS.getOrDefault(r.name(), NONE);
        double ours = s.path("images_per_s").asDouble();
        double eager = peer(r, "");
        double compiled = peer(r, "-compiled");
        double best = Math.max(eager, compiled);
        text.append(String.format(Locale.ROOT,
                "| %s, %s | **%s** | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |%n",
                r.title(), s.path("dtype").asString(), number(ours), number(goal.samples), number(eager),
                number(compiled), best == 0
                        ? "-"
                        : String.format(Locale.ROOT, "%.2f%s", ours / best,
                                goal.timesPeer == 0 ? "" : " (goal " + goal.timesPeer + ")"),
                number(s, "floor_samples_per_s"), number(s, "gb_planned"), number(s, "gb_taken"),
                number(s, "gpu_busy"), number(s, "nvidia_smi_busy"), number(s, "host_us"),
                number(s, "heap_bytes_per_step"), number(s, "first_step_s")));
    }

    /** PyTorch's samples a second for the network of a step of ours; 0 if there are none. */
    private double peer(GpuReport.Row step, String suffix) {
        return row("pytorch-" + step.name().substring("step-".length()) + suffix).stream()
                .flatMap(r -> r.results().stream()).mapToDouble(r -> r.path("images_per_s").asDouble(0)).findFirst()
                .orElse(0);
    }

    private static String number(JsonNode s, String key) { return number(s.path(key).asDouble(0)); }

    private static String number(double x) {
        if (x == 0 || !Double.isFinite(x)) return "-";
        return Math.abs(x) >= 1000 ? String.format(Locale.ROOT, "%,.0f", x) : String.format(Locale.ROOT, "%.3g", x);
    }

    private static String word(GpuReport.Row r) { return r.status().name().toLowerCase(Locale.ROOT).replace('_', ' '); }

    private void parts() {
        text.append("\n## Parts\n\n| part | state | s | |\n|---|---|---|---|\n");
        for (GpuReport.Row r : report.parts())
            text.append(String.format(Locale.ROOT, "| %s | %s | %.1f | %s |%n", r.name(), word(r), r.seconds(),
                    (r.words().isEmpty() ? inShort(r) : r.words() + "; " + inShort(r)).replace("|", "\\|")
                            + (r.note().isEmpty() ? "" : " (" + r.note() + ")")));
    }

    /** A part's results in a few words. */
    static String inShort(GpuReport.Row r) {
        if (r.results().isEmpty()) return "";
        JsonNode first = r.results().getFirst();
        if (first.has("outcome"))
            return r.results().stream().collect(Collectors.groupingBy(n -> n.path("outcome").asString(),
                    java.util.TreeMap::new, Collectors.counting())).toString();
        if (first.has("good"))
            return r.results().stream().filter(n -> n.path("good").asBoolean()).count() + " of " + r.results().size()
                    + " agree";
        if (first.has("images_per_s"))
            return number(first, "images_per_s") + " samples/s, " + number(first, "step_ms") + " ms a step";
        return r.results().size() + (r.results().size() == 1 ? " line" : " lines");
    }

    private void table(String part, String... keys) {
        List<JsonNode> lines = row(part).stream().flatMap(r -> r.results().stream()).filter(n -> n.has(keys[0]))
                .toList();
        if (lines.isEmpty()) return;
        text.append("\n## ").append(row(part).orElseThrow().title()).append("\n\n| ").append(String.join(" | ", keys))
                .append(" |\n|").append("---|".repeat(keys.length)).append('\n');
        for (JsonNode n : lines) {
            text.append('|');
            for (String key : keys)
                text.append(' ').append(n.path(key).isNumber() ? number(n, key) : n.path(key).asString(""))
                        .append(" |");
            text.append('\n');
        }
    }

    private void failures() {
        row("reference").stream().flatMap(r -> r.results().stream())
                .filter(n -> n.path("outcome").asString().equals("FAIL"))
                .forEach(n -> text.append("\n- failed: ").append(n.path("words").asString()));
        text.append('\n');
    }
}
