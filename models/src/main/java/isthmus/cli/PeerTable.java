package isthmus.cli;

import isthmus.profile.Machine;
import isthmus.profile.Workload;
import isthmus.report.Figures;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;

/** What a comparison gathers: every run's line, and a row a model of medians. */
final class PeerTable {
    /** The medians of one side in one precision over its runs. */
    record Side(String dtype, double stepMs, double imagesPerS, double peakRssMb) {}

    /**
     * One model; {@code best} are the faster precision's.
     *
     * @param speedup how many times faster than PyTorch at its best
     * @param memory our peak memory as a share of PyTorch's, both at their fastest
     * @param half how many times faster our bf16 is than our float32
     */
    record Row(String model, int batch, int size, Side torchFp32, Side torchBf16, Side oursFp32, Side oursHalf,
            double speedup, double memory, double half) {
        Side torchBest() { return faster(torchFp32, torchBf16); }

        Side oursBest() { return faster(oursFp32, oursHalf); }

        private static Side faster(Side a, Side b) { return a.stepMs <= b.stepMs ? a : b; }
    }

    /** One process's line, in the order in which they ran. */
    record Run(String side, JsonNode line) {}

    /** All of it. */
    record Report(String date, Machine machine, String jdk, String torch, String allocator, int threads, int runs,
            int steps, List<Row> rows, List<Run> lines) {}

    private final List<Run> lines = new ArrayList<>();
    private final List<Row> rows = new ArrayList<>();

    void add(String side, JsonNode line) { lines.add(new Run(side, line)); }

    /** Closes a model whose last lines have been added. */
    Row close(Workload w) {
        Side torchFp32 = side(w, "torch", "fp32");
        Side torchBf16 = side(w, "torch", "bf16");
        Side oursFp32 = side(w, "ours", "fp32");
        Side oursHalf = side(w, "ours", "bf16");
        Row row = new Row(w.model(), w.batch(), w.size(), torchFp32, torchBf16, oursFp32, oursHalf, 0, 0, 0);
        Side torch = row.torchBest();
        Side ours = row.oursBest();
        row = new Row(w.model(), w.batch(), w.size(), torchFp32, torchBf16, oursFp32, oursHalf,
                round(torch.stepMs / ours.stepMs), round(ours.peakRssMb / torch.peakRssMb),
                round(oursFp32.stepMs / oursHalf.stepMs));
        rows.add(row);
        return row;
    }

    /** Where amp means float32, that is the half-precision side as well. */
    private Side side(Workload w, String who, String dtype) {
        List<JsonNode> of = of(w, who, dtype).toList();
        if (of.isEmpty()) of = of(w, who, "fp32").toList();
        return new Side(of.getFirst().get("dtype").asString(), median(of, "step_ms"), median(of, "images_per_s"),
                median(of, "peak_rss_mb"));
    }

    private Stream<JsonNode> of(Workload w, String who, String dtype) {
        return lines.stream().filter(r -> r.side.equals(who)).map(Run::line)
                .filter(l -> l.get("model").asString().equals(w.model()) && l.get("dtype").asString().equals(dtype));
    }

    private static double median(List<JsonNode> lines, String key) {
        return Figures.median(lines.stream().mapToDouble(l -> l.get(key).asDouble()).toArray());
    }

    private static double round(double x) { return Figures.round(x, 2); }

    Report report(String date, String allocator, int threads, int runs, int steps) {
        String torch = lines.stream().filter(r -> r.side.equals("torch")).map(r -> r.line.get("torch").asString())
                .findFirst().orElse("");
        return new Report(date, Machine.here(), Runtime.version().toString(), torch, allocator, threads, runs, steps,
                List.copyOf(rows), List.copyOf(lines));
    }

    /** The report for people. */
    static String markdown(Report r) {
        var text = new StringBuilder("# Training steps beside PyTorch's\n\n");
        text.append(r.machine).append("; ").append(r.date).append(".\n");
        text.append(String.format(Locale.ROOT,
                "%d threads, %d runs a side, one after the other in turn, %d steps a run; medians. PyTorch %s, channels-last,"
                        + " fused AdamW, %s; JDK %s.%n%n",
                r.threads, r.runs, r.steps, r.torch, r.allocator, r.jdk));
        text.append(
                "| model, batch, edge | PyTorch fp32 ms | PyTorch bf16 ms | ours fp32 ms | ours amp ms | speedup | images/s |"
                        + " PyTorch MB | ours MB | memory | amp over fp32 |\n|---|---|---|---|---|---|---|---|---|---|---|\n");
        for (Row row : r.rows.stream().sorted(Comparator.comparingDouble(x -> -x.speedup)).toList())
            text.append(String.format(Locale.ROOT,
                    "| %s, %d, %d | %.1f | %.1f | %.1f | %.1f | **%.2fx** | %.1f | %.0f | %.0f | %.2fx | %.2fx |%n",
                    row.model,
                    row.batch, row.size, row.torchFp32.stepMs, row.torchBf16.stepMs, row.oursFp32.stepMs,
                    row.oursHalf.stepMs, row.speedup, row.oursBest().imagesPerS, row.torchBest().peakRssMb,
                    row.oursBest().peakRssMb, row.memory, row.half));
        return text.append("\nSpeedup and memory compare each side at its faster precision.\n").toString();
    }
}
