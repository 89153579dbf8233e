package isthmus.cli;

import isthmus.agent.Finding;
import isthmus.agent.ImagingAgent;
import isthmus.data.LabelTable;
import isthmus.task.Recipe;
import java.nio.file.Path;

/** One film of a table as the clinic would read it: with the exported file alone. */
final class OneFilm {
    private OneFilm() {}

    /** The first film that is positive, else the first. */
    static DemoReport.Film read(Recipe recipe, Path onnx, Path csv) {
        LabelTable table = LabelTable.read(csv, recipe.labels(),
                LabelTable.Options.standard().withUncertain(recipe.uncertain())
                        .withDropUnlabeled(true));
        int row = 0;
        for (int i = table.rows() - 1; i >= 0; i--)
            if (table.label(i, 0) == 1) row = i;
        try (ImagingAgent agent = ImagingAgent.open(onnx, 1, false)) {
            Finding finding = agent.infer(table.file(row)).getFirst();
            float truth = table.label(row, 0);
            return new DemoReport.Film(table.file(row).toString(), finding.label(),
                    truth < 0 ? null : Double.valueOf(truth),
                    finding.probability());
        }
    }
}
