package isthmus.cli;

import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Warnings about data: the first few for people, all of them in the log. */
final class Notices {
    private static final Logger LOG = LoggerFactory.getLogger(Notices.class);
    private static final int SHOWN = 5;

    private Notices() {}

    /** To the log only. */
    static void log(String whose, List<String> warnings) {
        warnings.forEach(w -> LOG.info("{}: {}", whose, w));
    }

    static void show(Terminal terminal, List<String> warnings) {
        warnings.forEach(LOG::info);
        warnings.stream().limit(SHOWN).forEach(w -> terminal.note("note: " + w));
        if (warnings.size() > SHOWN) terminal.note("note: and " + (warnings.size() - SHOWN) + " more of these");
    }
}
