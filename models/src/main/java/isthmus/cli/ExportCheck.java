package isthmus.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/** Compares exported files with our own engine: on films where some are named, else on seeded pictures. */
final class ExportCheck implements AutoCloseable {
    private static final int SHOWN = 8;

    private final Path weights;
    private final List<Path> films;
    private final int threads;
    private final Agreement seeded;

    ExportCheck(Path weights, Exportable what, List<Path> films, int images, int threads) {
        this.weights = weights;
        this.films = films;
        this.threads = threads;
        this.seeded = films.isEmpty()
                ? new Agreement(what.model(), what.weights(), what.facts().decision(), images, threads)
                : null;
    }

    Agreement.Figures of(Path onnx) throws IOException {
        if (seeded != null) return seeded.with(onnx);
        OnnxFile.Check c = OnnxFile.check(weights, onnx, films, threads);
        return new Agreement.Figures(c.images(), c.maxLogitDiff(), c.maxRelativeLogitDiff(), c.maxAbsDiff(), Double.NaN,
                Double.NaN);
    }

    static String text(Agreement.Figures f) {
        String size = Double.isNaN(f.largest()) ? "" : String.format(Locale.ROOT, ", logits up to %.3g", f.largest());
        return text(f.images(), Double.isNaN(f.largest()), f.maxProbabilityDiff(), f.maxLogitDiff()) + size;
    }

    /** For people. */
    static String text(int images, boolean films, double probability, double logit) {
        return String.format(Locale.ROOT,
                "%d %s, largest difference of a probability %.1e, of a logit %.1e (limit %.0e, of logits beyond 1 as a share)",
                images, films ? "films" : "seeded images", probability, logit, OnnxFile.TOLERANCE);
    }

    /** The first few. */
    static String some(List<String> labels) {
        return labels.size() <= SHOWN
                ? String.join(", ", labels)
                : String.join(", ", labels.subList(0, SHOWN)) + " and " + (labels.size() - SHOWN) + " more";
    }

    @Override
    public void close() { if (seeded != null) seeded.close(); }
}
