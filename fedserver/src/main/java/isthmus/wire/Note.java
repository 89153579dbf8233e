package isthmus.wire;

/**
 * A site's sign of life while it works.
 *
 * @param round the round it works for
 * @param done work done so far, in any unit; progress is when this or the note changes
 * @param total all work, in the same unit
 * @param note one line for people, may be empty
 */
public record Note(int round, long done, long total, String note) {
    public Note {
        Checks.range("round", round, 1, 100_000);
        Checks.range("total", total, 0, Long.MAX_VALUE);
        Checks.range("done", done, 0, Long.MAX_VALUE);
        note = note == null ? "" : Checks.text("note", note, 500);
    }

    /**
     * The server's answer.
     *
     * @param wanted whether the round still wants this site's work
     */
    public record Answer(boolean wanted) {}
}
