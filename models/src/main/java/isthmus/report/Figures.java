package isthmus.report;

import java.math.BigDecimal;
import java.math.MathContext;
import java.util.Arrays;

/** Numbers of measurements: their median, and no more digits than they are worth. */
public final class Figures {
    private static final MathContext FOUR = new MathContext(4);

    private Figures() {}

    /** The middle value, or the mean of the two in the middle; NaN of none. The order of {@code all} stays. */
    public static double median(double... all) {
        if (all.length == 0) return Double.NaN;
        double[] sorted = all.clone();
        Arrays.sort(sorted);
        return (sorted[(sorted.length - 1) / 2] + sorted[sorted.length / 2]) / 2;
    }

    /** The same of whole numbers, such as nanoseconds. */
    public static double median(long... all) {
        return median(Arrays.stream(all).asDoubleStream().toArray());
    }

    /** Rounded to so many decimals; what is not finite stays as it is. */
    public static double round(double x, int decimals) {
        double factor = Math.pow(10, decimals);
        return Double.isFinite(x) ? Math.round(x * factor) / factor : x;
    }

    /** Rounded to four digits, wherever the point stands; more are more than a measurement is worth. */
    public static double digits(double x) {
        return Double.isFinite(x) ? new BigDecimal(x).round(FOUR).doubleValue() : x;
    }
}
