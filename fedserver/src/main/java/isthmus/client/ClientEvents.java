package isthmus.client;

import java.time.Duration;

/**
 * What happens at a site, for a command line to print. Every method may be left as it is. Calls come from the thread of
 * {@link FederationClient#run}, but {@link #progress} comes from the trainer's.
 */
public interface ClientEvents {
    /** Says nothing. */
    ClientEvents SILENT = new ClientEvents() {
    };

    /** The server answered for the first time, or again after it was away. */
    default void connected(String server) {}

    /** Something broke on the way; it is tried again after a wait. */
    default void retrying(String problem, Duration wait) {}

    /** A task begins: {@code what} is {@code train} or {@code validate}. */
    default void started(RoundTask task, String what) {}

    /** {@code what} is {@code fetch}, {@code train}, {@code upload} or {@code validate}; fetch and upload count bytes. */
    default void progress(RoundTask task, String what, long done, long total, String note) {}

    /** The server has accepted and journalled the update. */
    default void uploaded(RoundTask task, SiteResult result, long bytes, Duration took) {}

    /** The server has the metrics of the new global model. */
    default void validated(RoundTask task, SiteResult result) {}

    /** The server refused this round's work for good; the site goes on with the next round. */
    default void refused(RoundTask task, String why) {}

    /** A job that this site took part in has ended: {@code done} or {@code aborted}. */
    default void finished(String job, int rounds, String state) {}
}
