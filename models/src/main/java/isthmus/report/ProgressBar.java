package isthmus.report;

import java.io.PrintStream;
import java.time.Duration;
import java.util.Locale;
import java.util.function.LongSupplier;

/**
 * How far a piece of work is, with rate and time left: one line that is redrawn on a terminal, else a plain line every few
 * seconds. Safe for use by several threads; a redraw costs nothing most of the time.
 */
public final class ProgressBar implements AutoCloseable {
    private static final int WIDTH = 24;
    private static final long REDRAW = 100_000_000L;
    private static final long PLAIN = 10_000_000_000L;

    private final PrintStream out;
    private final boolean live;
    private final String title;
    private final String unit;
    private final LongSupplier clock;
    private final long began;
    private long total;
    private long done;
    private long drawn;
    private String note = "";
    private boolean closed;

    /**
     * Begins.
     *
     * @param live whether {@code out} is a terminal
     * @param title what is done
     * @param unit what is counted, such as {@code images}
     * @param total how many there are; 0 if unknown
     */
    public ProgressBar(PrintStream out, boolean live, String title, String unit, long total) {
        this(out, live, title, unit, total, System::nanoTime);
    }

    ProgressBar(PrintStream out, boolean live, String title, String unit, long total, LongSupplier clock) {
        this.out = out;
        this.live = live;
        this.title = title;
        this.unit = unit;
        this.total = total;
        this.clock = clock;
        this.began = clock.getAsLong();
        this.drawn = live ? began - REDRAW : began;
    }

    /** Work done so far, of {@code total}, and a note for people. */
    public synchronized void update(long nowDone, long nowTotal, String nowNote) {
        done = nowDone;
        total = nowTotal;
        note = nowNote;
        long now = clock.getAsLong();
        if (closed || now - drawn < (live ? REDRAW : PLAIN)) return;
        drawn = now;
        if (live) out.print("\r\u001b[K" + line(now));
        else
            out.println(line(now));
        out.flush();
    }

    /** Work done so far. */
    public void update(long nowDone) { update(nowDone, total, note); }

    /** A new note for people, shown with the next redraw. */
    public synchronized void note(String text) { note = text; }

    /** A line of its own above the bar. */
    public synchronized void say(String text) {
        out.println((live ? "\r\u001b[K" : "") + text);
        if (live && !closed) out.print(line(clock.getAsLong()));
        out.flush();
    }

    /** Prints the final state and ends the line. */
    @Override
    public synchronized void close() {
        if (closed) return;
        closed = true;
        out.println((live ? "\r\u001b[K" : "") + line(clock.getAsLong()));
        out.flush();
    }

    private String line(long now) {
        double seconds = (now - began) / 1e9;
        double rate = seconds > 0 ? done / seconds : 0;
        var text = new StringBuilder(title);
        if (live && total > 0) {
            int full = (int) Math.min(WIDTH, WIDTH * done / total);
            text.append(" [").append("#".repeat(full)).append("-".repeat(WIDTH - full)).append(']');
        }
        text.append(' ').append(done);
        if (total > 0) text.append('/').append(total);
        text.append(' ').append(unit);
        if (rate > 0) text.append(String.format(Locale.ROOT, ", %s/s", Meter.figures(rate)));
        if (closed || rate == 0 || total <= 0)
            text.append(", ").append(Meter.time(Duration.ofMillis((long) (seconds * 1000))));
        else
            text.append(", ").append(Meter.time(Duration.ofMillis((long) ((total - done) / rate * 1000))))
                    .append(" left");
        if (!note.isEmpty()) text.append(", ").append(note);
        return text.toString();
    }
}
