package isthmus.wire;

import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.ThreadLocalRandom;

/**
 * Repeats a call that broke on the way, waiting longer each time (0.25 s to 8 s), until it works or its owner stops.
 * What the server refused (4xx) is never repeated: it would be refused again.
 */
public final class Patience {
    /** One attempt. */
    public interface Attempt<T> {
        T run() throws IOException, InterruptedException;
    }

    /** Told before each wait; runs on the calling thread. */
    public interface Waiting {
        void before(String problem, Duration wait);
    }

    private static final long FIRST = 250;
    private static final long LONGEST = 8_000;
    private final Waiting waiting;
    private final Duration limit;

    /** @param limit give up when an operation has not worked for so long */
    public Patience(Duration limit, Waiting waiting) {
        this.limit = limit;
        this.waiting = waiting;
    }

    /**
     * Runs until it works.
     *
     * @throws IOException the last problem, when the limit is over
     * @throws InterruptedException when the owner interrupts the thread
     */
    public <T> T run(Attempt<T> attempt) throws IOException, InterruptedException {
        long start = System.nanoTime();
        long wait = FIRST;
        while (true) {
            String problem;
            IOException cause;
            try {
                return attempt.run();
            } catch (RefusalException e) {
                if (e.status() < 500)
                    throw e;
                problem = e.getMessage();
                cause = new IOException(problem, e);
            } catch (IOException e) {
                problem = e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
                cause = e;
            }
            if (System.nanoTime() - start > limit.toNanos())
                throw cause;
            long pause = wait / 2 + ThreadLocalRandom.current().nextLong(wait / 2 + 1);
            waiting.before(problem, Duration.ofMillis(pause));
            Thread.sleep(pause);
            wait = Math.min(LONGEST, wait * 2);
        }
    }
}
