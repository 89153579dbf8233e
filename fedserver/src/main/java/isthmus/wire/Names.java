package isthmus.wire;

import java.util.regex.Pattern;

/** Names of projects, sites, administrators and jobs: they become folder names, so their alphabet is small. */
public final class Names {
    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,62}");

    private Names() {}

    /** The name itself when it is good, else an IllegalArgumentException that says what a name may hold. */
    public static String check(String kind, String name) {
        if (!isName(name))
            throw new IllegalArgumentException(kind + " name \"" + cut(name)
                    + "\" is not 1 to 63 letters, digits, '.', '_' or '-', beginning with a letter or digit");
        return name;
    }

    /** Whether this may be a name. */
    public static boolean isName(String name) {
        return name != null && NAME.matcher(name).matches();
    }

    private static String cut(String name) {
        return name == null || name.length() <= 80 ? String.valueOf(name) : name.substring(0, 80) + "...";
    }
}
