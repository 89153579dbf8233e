package isthmus.nn;

import java.util.Locale;
import java.util.regex.Pattern;

/**
 * Chooses parameters or layers by their PyTorch names: {@code *} stands for any text, {@code ?} for one character. A
 * pattern fits a name if it fits all of it or all of a layer that encloses it, so {@code layer4} and {@code layer4.*}
 * both choose {@code layer4.0.conv1.weight}; {@code fc} does not choose {@code fc1.weight}.
 */
public final class NamePattern {
    private final String text;
    private final Pattern pattern;

    /** Reads a pattern; it may not be blank. */
    public NamePattern(String text) {
        if (text.isBlank())
            throw new IllegalArgumentException("a name pattern is blank; write such as layer4 or *.bn1");
        this.text = text;
        StringBuilder regex = new StringBuilder();
        for (int i = 0; i < text.length(); i++) {
            String c = text.substring(i, i + 1);
            regex.append(c.equals("*") ? ".*" : c.equals("?") ? "." : Pattern.quote(c));
        }
        this.pattern = Pattern.compile(regex + "(\\..*)?");
    }

    /** Whether the pattern chooses that name. */
    public boolean fits(String name) {
        return pattern.matcher(name).matches();
    }

    /** The pattern as it was written. */
    @Override
    public String toString() { return text; }

    /** The complaint that a pattern chose nothing. */
    static IllegalArgumentException nothing(String what, String pattern, Iterable<String> names) {
        return new IllegalArgumentException(String.format(Locale.ROOT,
                "%s: nothing is called '%s'; there are %s", what, pattern, String.join(", ", names)));
    }
}
