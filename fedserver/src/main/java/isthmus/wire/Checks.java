package isthmus.wire;

import java.util.Map;
import java.util.TreeMap;

/** Bounds that the messages' constructors check; an IllegalArgumentException becomes a refusal with the same words. */
final class Checks {
    private static final int MAX_METRICS = 64;

    private Checks() {}

    static long range(String key, long value, long least, long most) {
        if (value < least || value > most)
            throw new IllegalArgumentException(key + " is " + value + "; it must be from " + least + " to " + most);
        return value;
    }

    static int present(String key, Integer value) {
        if (value == null)
            throw new IllegalArgumentException(key + " is missing");
        return value;
    }

    static double positive(String key, double value) {
        if (!(value > 0) || Double.isInfinite(value))
            throw new IllegalArgumentException(key + " is " + value + "; it must be finite and greater than 0");
        return value;
    }

    static String digest(String key, String value) {
        if (!Sha256.isDigest(value))
            throw new IllegalArgumentException(key + " is no SHA-256 in 64 lower-case hexadecimal digits");
        return value;
    }

    static String text(String key, String value, int most) {
        if (value == null)
            throw new IllegalArgumentException(key + " is missing");
        if (value.length() > most)
            throw new IllegalArgumentException(key + " has " + value.length() + " characters; at most " + most);
        return value;
    }

    /** Sorted, finite, at most 64 of them with short names; null means none. */
    static Map<String, Double> metrics(Map<String, Double> metrics) {
        if (metrics == null)
            return Map.of();
        if (metrics.size() > MAX_METRICS)
            throw new IllegalArgumentException(metrics.size() + " metrics; at most " + MAX_METRICS);
        metrics.forEach((name, value) -> {
            if (name.isEmpty() || name.length() > 64)
                throw new IllegalArgumentException("a metric's name must have 1 to 64 characters");
            if (value == null || !Double.isFinite(value))
                throw new IllegalArgumentException("metric " + name + " is " + value + "; only finite numbers count");
        });
        return java.util.Collections.unmodifiableMap(new TreeMap<>(metrics));
    }
}
