package isthmus.bindings;

import java.util.Map;
import java.util.Optional;

/** A library opened at run time, which may be missing: then every call throws, saying why. Its functions return a status. */
public abstract class BoundLibrary {
    private final NativeLibrary library;
    protected final Downcalls table;
    protected final Checked checked;

    @SuppressWarnings("this-escape") // nobody asks for words before a call has failed
    protected BoundLibrary(NativeLibrary library) {
        this.library = library;
        this.table = new Downcalls(library);
        this.checked = new Checked(this::words);
    }

    /** The library's own text for a status that is not success. */
    protected abstract String words(int status);

    /** Why the library cannot be used; empty if it was opened. */
    public final Optional<String> problem() {
        return library.problem();
    }

    /** The file that was opened. */
    public final Optional<String> origin() { return library.origin(); }

    /** Every C function bound, with its ABI letters. */
    public final Map<String, String> signatures() {
        return table.signatures();
    }
}
