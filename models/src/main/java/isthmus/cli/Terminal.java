package isthmus.cli;

import isthmus.report.JsonFile;
import isthmus.report.ProgressBar;
import java.io.PrintStream;

/**
 * Where a command speaks: results on standard output, everything else on standard error. With {@code --json} standard
 * output holds JSON and nothing else.
 */
final class Terminal {
    private final PrintStream out;
    private final PrintStream err;
    private final boolean live;
    private final boolean json;

    Terminal(PrintStream out, PrintStream err, boolean live, boolean json) {
        this.out = out;
        this.err = err;
        this.live = live;
        this.json = json;
    }

    /** The process's own streams; the launcher knows whether the second is a terminal. */
    static Terminal ofProcess(boolean json) {
        return new Terminal(System.out, System.err, Boolean.getBoolean("isthmus.terminal"), json);
    }

    boolean json() { return json; }

    boolean live() { return live; }

    /** A line of the result, for people; nothing with {@code --json}. */
    void print(String line) {
        if (json) return;
        out.println(line);
        out.flush();
    }

    /** The result, for machines; nothing without {@code --json}. */
    void result(Object value) {
        if (!json) return;
        out.print(JsonFile.text(value));
        out.flush();
    }

    /** One event of a stream, for machines: one line of JSON. */
    void event(Object value) {
        if (!json) return;
        out.println(JsonFile.line(value));
        out.flush();
    }

    /** A line for people that is no result. */
    void note(String line) {
        err.println(line);
        err.flush();
    }

    /** A line that the next one overwrites; nothing where that is not possible. */
    void passing(String line) {
        if (!live) return;
        err.print("\r\u001b[K" + line);
        err.flush();
    }

    /** A bar on standard error. */
    ProgressBar bar(String title, String unit, long total) {
        return new ProgressBar(err, live, title, unit, total);
    }
}
