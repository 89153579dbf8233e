package isthmus.cli;

import java.util.LinkedHashMap;
import java.util.Map;

/** What the program's exit code says. */
final class Exit {
    static final int OK = 0;
    static final int FAILED = 1;
    static final int USAGE = 2;
    static final int BAD_DATA = 3;
    static final int REFUSED = 4;
    /** What the JVM itself answers to Ctrl-C: 128 and the signal's number. */
    static final int INTERRUPTED = 130;

    private Exit() {}

    /** For {@code --help}. */
    static Map<String, String> list() {
        Map<String, String> all = new LinkedHashMap<>();
        all.put(Integer.toString(OK), "ok");
        all.put(Integer.toString(FAILED), "it failed");
        all.put(Integer.toString(USAGE), "wrong usage");
        all.put(Integer.toString(BAD_DATA), "bad input data: a file, a table, a picture, JSON");
        all.put(Integer.toString(REFUSED), "refused by the server, or by a check of certificates");
        all.put(Integer.toString(INTERRUPTED), "interrupted (Ctrl-C)");
        return all;
    }
}
