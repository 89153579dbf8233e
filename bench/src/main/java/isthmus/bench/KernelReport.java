package isthmus.bench;

import static isthmus.report.Figures.round;

import isthmus.profile.Machine;
import isthmus.report.TextTable;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import org.openjdk.jmh.results.Result;
import org.openjdk.jmh.results.RunResult;

/**
 * What the benchmarks found.
 *
 * @param date day, UTC
 * @param copyGbPerS what a copy moved in the same run, read and written
 */
record KernelReport(String date, Machine machine, String jdk, int threads, double copyGbPerS, List<Row> rows) {
    /**
     * One benchmark.
     *
     * @param parameters as in {@code precision=BF16}; empty if it has none
     * @param ms mean time of a call, milliseconds
     * @param errorMs half of the 99.9 % confidence interval; absent with fewer than three measurements
     * @param gbPerS the least memory that a call must move over its time
     * @param ofCopy the same as a share of a copy's; over 1 where data stay in caches
     */
    record Row(String benchmark, String parameters, double ms, Double errorMs, double gbPerS, double ofCopy) {}

    private static final String COPY = "CopyBenchmark.copy";

    static KernelReport of(String date, int threads, Collection<RunResult> results) {
        double copy = results.stream().filter(r -> name(r).equals(COPY)).mapToDouble(KernelReport::bytes).findFirst()
                .orElseThrow(() -> new IllegalStateException("the copy, which all is compared with, did not run"));
        return new KernelReport(date, Machine.here(), Runtime.version().toString(), threads, round(copy / 1e9, 2),
                results.stream().map(r -> row(r, copy)).toList());
    }

    private static Row row(RunResult r, double copy) {
        Result<?> calls = r.getPrimaryResult();
        double perSecond = calls.getScore();
        double error = calls.getScoreError();
        return new Row(name(r), parameters(r), round(1e3 / perSecond, 5),
                Double.isFinite(error) ? round(1e3 / perSecond * error / perSecond, 5) : null,
                round(bytes(r) / 1e9, 3), round(bytes(r) / copy, 4));
    }

    /** Bytes a second, as {@link Traffic} counts them. */
    private static double bytes(RunResult r) {
        return r.getSecondaryResults().get("bytes").getScore();
    }

    private static String name(RunResult r) {
        String whole = r.getParams().getBenchmark();
        return whole.substring(whole.lastIndexOf('.', whole.lastIndexOf('.') - 1) + 1);
    }

    private static String parameters(RunResult r) {
        return String.join(", ", r.getParams().getParamsKeys().stream().map(k -> k + "=" + r.getParams().getParam(k))
                .toList());
    }

    /** For people. */
    String text() {
        var table = new TextTable(List.of("benchmark", "of", "ms", "+-", "GB/s", "of a copy"), 4, 2);
        for (Row r : rows)
            table.add(List.of(r.benchmark, r.parameters, String.format(Locale.ROOT, "%.3f", r.ms),
                    r.errorMs == null ? "" : String.format(Locale.ROOT, "%.3f", r.errorMs),
                    String.format(Locale.ROOT, "%.1f", r.gbPerS),
                    String.format(Locale.ROOT, "%.0f %%", 100 * r.ofCopy)));
        return String.format(Locale.ROOT, "%s; %s; JDK %s; %d threads; a copy moves %.1f GB/s%n%n%s", machine, date,
                jdk, threads, copyGbPerS, table.text());
    }
}
