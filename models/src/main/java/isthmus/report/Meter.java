package isthmus.report;

import java.time.Duration;
import java.util.Locale;

/** Words for amounts: bytes, rates, durations. */
public final class Meter {
    private static final String[] BYTES = {"B", "kB", "MB", "GB", "TB"};

    private Meter() {}

    /** Bytes in powers of 1000, three figures: {@code 676 kB}. */
    public static String bytes(long count) {
        double bytes = count;
        int unit = 0;
        while (bytes >= 999.5 && unit + 1 < BYTES.length) {
            bytes /= 1000;
            unit++;
        }
        return figures(bytes) + " " + BYTES[unit];
    }

    /** A positive number with about three figures. */
    public static String figures(double value) {
        return String.format(Locale.ROOT,
                value >= 100 || value == Math.rint(value) ? "%.0f" : value >= 10 ? "%.1f" : "%.2f", value);
    }

    /** {@code 4.2 s}, {@code 3:07} or {@code 1:03:07}. */
    public static String time(Duration duration) {
        double seconds = duration.toMillis() / 1000.0;
        if (seconds < 60) return String.format(Locale.ROOT, "%.1f s", seconds);
        long whole = Math.round(seconds);
        if (whole < 3600) return String.format(Locale.ROOT, "%d:%02d", whole / 60, whole % 60);
        return String.format(Locale.ROOT, "%d:%02d:%02d", whole / 3600, whole / 60 % 60, whole % 60);
    }
}
