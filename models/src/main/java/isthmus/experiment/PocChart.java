package isthmus.experiment;

import isthmus.report.CurvesChart;
import isthmus.report.CurvesChart.Curve;
import isthmus.report.CurvesChart.Panel;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.ToDoubleFunction;

/** The proof of concept's curves: accuracy and time of every round, in each configuration. */
public final class PocChart {
    private PocChart() {}

    /** Writes a PNG. */
    public static void write(Path file, PocReport report) throws IOException {
        CurvesChart.write(file, "ConvNet2 on three sites' chest films: full or LoRA, fp32 or AMP",
                List.of(panel(report, "Accuracy on all validation films", PocReport.Round::accuracy),
                        panel(report, "Seconds of a round", PocReport.Round::seconds)));
    }

    private static Panel panel(PocReport report, String title, ToDoubleFunction<PocReport.Round> of) {
        List<Curve> curves = new ArrayList<>();
        for (int i = 0; i < report.rows().size(); i++) {
            PocReport.Row row = report.rows().get(i);
            curves.add(new Curve(row.configuration(), i, i % 2 == 1,
                    row.rounds().stream().map(r -> of.applyAsDouble(r)).toList()));
        }
        return new Panel(title, "round", curves);
    }
}
