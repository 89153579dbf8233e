package isthmus.wire;

/**
 * Why something was refused, as it travels: one message that a hospital's engineer can act on.
 *
 * @param error stable short name for programs, such as {@code old_round}
 * @param what what was wrong, with expected and received values
 * @param where job, round, site, file or field it happened in
 * @param cure what to do about it
 */
public record Refusal(String error, String what, String where, String cure) {
    @Override
    public String toString() { return where + ": " + what + " (" + cure + ")"; }
}
