package isthmus.wire;

/**
 * Why a site could not do its task; shown in the job's status within seconds.
 *
 * @param round the round it worked for
 * @param what one message, without patient data
 */
public record Failure(int round, String what) {
    public Failure {
        Checks.range("round", round, 1, 100_000);
        what = Checks.text("what", what, 4000);
    }
}
