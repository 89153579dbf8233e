package isthmus.weights;

import java.util.List;

/**
 * What came of an import.
 *
 * @param matched how many of the model's tensors were taken as they were
 * @param adapted tensors that were made to fit another number of channels
 * @param dropped tensors of the file that were not taken
 * @param missing tensors of the model that were not in the file, or not of that size, and start with initial values
 * @param ignored how many of the file's tensors have no meaning here (counters of batches)
 * @param notes what was unwrapped, renamed or left out, one line each
 */
public record ImportReport(int matched, List<Adapted> adapted, List<Dropped> dropped, List<Missing> missing,
        int ignored,
        List<String> notes) {
    /** A tensor that was made to fit. */
    public record Adapted(String name, String from, String to, String how) {}

    /** A tensor that was not taken. */
    public record Dropped(String name, String shape, String why) {}

    /** A tensor that starts anew. */
    public record Missing(String name, String shape, String why) {}

    public ImportReport {
        adapted = List.copyOf(adapted);
        dropped = List.copyOf(dropped);
        missing = List.copyOf(missing);
        notes = List.copyOf(notes);
    }
}
