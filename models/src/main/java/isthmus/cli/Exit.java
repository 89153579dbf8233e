package isthmus.cli;

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
    static String[] list() {
        return new String[] {"0:ok", "1:it failed", "2:wrong usage", "3:bad input data (a file, a table, a picture, JSON)",
                "4:refused by the server, or by a check of certificates", "130:interrupted (Ctrl-C)"};
    }
}
