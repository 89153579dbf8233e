package isthmus.client;

/** Where a trainer tells how far it is. May be called from any thread, as often as it likes; it never blocks. */
public interface Progress {
    /**
     * Work done so far.
     *
     * @param done in any unit, such as steps or images
     * @param total in the same unit; 0 if unknown
     * @param note one line for people, such as {@code "epoch 2, loss 0.412"}; no patient data
     */
    void report(long done, long total, String note);

    /** Whether the result is no longer wanted: the round closed, the job was aborted, or the client is closing. */
    boolean cancelled();
}
