package isthmus.reference;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** What a case gave in one precision: the error nearest to (or furthest over) its tolerance, and all that failed. */
final class Outcome {
    /** With the environment variable REFERENCE_ALL set, every single check is printed. */
    private static final boolean ALL = System.getenv("REFERENCE_ALL") != null;

    final String name;
    final String precision;
    private final List<String> failures = new ArrayList<>();
    private double worst = -1;
    private double worstError;
    private double worstTolerance;
    private String worstWhat = "nothing checked";
    private String skipped;

    Outcome(String name, String precision) {
        this.name = name;
        this.precision = precision;
    }

    static Outcome skipped(String name, String precision, String why) {
        Outcome o = new Outcome(name, precision);
        o.skipped = why;
        return o;
    }

    /** Records an error and the most that it may be. */
    void check(String what, double error, double tolerance) {
        if (ALL) System.out.printf(Locale.ROOT, "      %s: %.3g of %.3g%n", what, error, tolerance);
        double ratio = Double.isNaN(error) ? Double.POSITIVE_INFINITY : error / tolerance;
        if (ratio > worst) {
            worst = ratio;
            worstError = error;
            worstTolerance = tolerance;
            worstWhat = what;
        }
        if (!(error <= tolerance))
            failures.add(String.format(Locale.ROOT, "%s: error %.3g over %.3g", what, error, tolerance));
    }

    boolean isSkipped() { return skipped != null; }

    boolean passed() { return skipped == null && failures.isEmpty() && worst >= 0; }

    List<String> failures() { return failures; }

    @Override
    public String toString() {
        if (skipped != null) return String.format(Locale.ROOT, "skip  %-34s %-5s %s", name, precision, skipped);
        return String.format(Locale.ROOT, "%s  %-34s %-5s error %.3g tolerance %.3g (%s)", passed() ? "pass" : "FAIL",
                name, precision,
                worstError, worstTolerance, worstWhat);
    }

    /** Relative L2 distance. */
    static double relative(float[] got, double[] expected) {
        if (got.length != expected.length) return Double.NaN;
        double difference = 0;
        double norm = 0;
        for (int i = 0; i < got.length; i++) {
            difference += (got[i] - expected[i]) * (got[i] - expected[i]);
            norm += expected[i] * expected[i];
        }
        return norm == 0 ? Math.sqrt(difference) : Math.sqrt(difference / norm);
    }
}
