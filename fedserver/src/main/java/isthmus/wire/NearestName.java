package isthmus.wire;

import java.util.List;

/** The cure for a misspelt name: the nearest known one by edit distance, else all known ones. */
public final class NearestName {
    private NearestName() {}

    /** Such as {@code did you mean "rounds"?} or {@code known: "a", "b"}. */
    public static String of(String name, List<String> known) {
        String best = null;
        int least = Math.max(2, name.length() / 3) + 1;
        for (String candidate : known) {
            int distance = distance(name, candidate);
            if (distance < least) {
                least = distance;
                best = candidate;
            }
        }
        return best != null ? "did you mean \"" + best + "\"?" : "known: " + String.join(", ", known);
    }

    /** Levenshtein's distance; names are cut at 64 characters so that a hostile key costs nothing. */
    private static int distance(String a, String b) {
        int m = Math.min(64, a.length());
        int n = Math.min(64, b.length());
        int[] row = new int[n + 1];
        for (int j = 0; j <= n; j++)
            row[j] = j;
        for (int i = 1; i <= m; i++) {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= n; j++) {
                int above = row[j];
                int change = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
                row[j] = Math.min(change, Math.min(above, row[j - 1]) + 1);
                diagonal = above;
            }
        }
        return row[n];
    }
}
