package isthmus.client;

import isthmus.wire.Link;
import isthmus.wire.Note;
import isthmus.wire.RefusalException;
import java.io.IOException;
import java.util.concurrent.atomic.AtomicBoolean;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells the server how far a task is while it runs, on a virtual thread of its own, and learns whether the result is
 * still wanted. That the server is away for a while does not disturb the task.
 */
final class Heartbeat implements Progress, AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Heartbeat.class);

    private record State(String what, long done, long total, String note) {}

    private final Link link;
    private final RoundTask task;
    private final ClientEvents events;
    private final AtomicBoolean closing;
    private final Thread thread;
    private volatile State state = new State("fetch", 0, 0, "");
    private volatile boolean unwanted;
    private volatile boolean over;

    Heartbeat(Link link, RoundTask task, ClientEvents events, AtomicBoolean closing) {
        this.link = link;
        this.task = task;
        this.events = events;
        this.closing = closing;
        long pause = Math.clamp(task.noProgressSeconds() * 1000L / 4, 200, 10_000);
        this.thread = Thread.ofVirtual().name("isthmus-heartbeat").start(() -> beat(pause));
    }

    private void beat(long pause) {
        try {
            while (!over) {
                Thread.sleep(pause);
                State now = state;
                try {
                    String note = now.note.isEmpty() ? now.what : now.what + ": " + now.note;
                    unwanted |= !link.post("/v1/jobs/" + task.job() + "/notes", new Note(task.round(),
                            Math.max(0, now.done), Math.max(0, now.total), cut(note)), Note.Answer.class).wanted();
                } catch (RefusalException e) {
                    unwanted |= e.status() < 500;
                } catch (IOException e) {
                    LOG.debug("the server is away; the task goes on, and its upload will wait for it", e);
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static String cut(String note) { return note.length() <= 500 ? note : note.substring(0, 500); }

    /** A new part of the task begins. */
    void stage(String what) { state = new State(what, 0, 0, ""); }

    @Override
    public void report(long done, long total, String note) {
        State now = new State(state.what, done, total, note == null ? "" : note);
        state = now;
        events.progress(task, now.what, done, total, now.note);
    }

    @Override
    public boolean cancelled() { return unwanted || closing.get(); }

    @Override
    public void close() {
        over = true;
        thread.interrupt();
    }
}
