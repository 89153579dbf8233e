package isthmus.weights;

import java.util.List;

/** Lists in messages. */
final class Words {
    private static final int SHOWN = 8;
    private static final int MAX_LENGTH = 200;

    private Words() {}

    /** The first few, and how many more there are; control characters, which come from files, are masked. */
    static String some(List<String> all) {
        String text = String.join(", ", all.subList(0, Math.min(SHOWN, all.size())).stream().map(Words::safe).toList());
        return all.size() <= SHOWN ? text : text + " and " + (all.size() - SHOWN) + " more";
    }

    /** A text of a file, fit for a terminal. */
    static String safe(String text) {
        String start = text.length() <= MAX_LENGTH ? text : text.substring(0, MAX_LENGTH) + "...";
        return start.replaceAll("\\p{Cntrl}", "?");
    }
}
