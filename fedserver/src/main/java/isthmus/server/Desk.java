package isthmus.server;

import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;

/**
 * The one lock that guards the state of all jobs, the bell that wakes waiting polls, and the virtual threads that work
 * is done on. Holding the lock one may write a journal line, but not hash, fold or copy weights.
 */
final class Desk implements AutoCloseable {
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    private boolean closing;
    final ExecutorService workers = Executors.newVirtualThreadPerTaskExecutor();

    <T> T locked(Supplier<T> work) {
        lock.lock();
        try {
            return work.get();
        } finally {
            lock.unlock();
        }
    }

    void locked(Runnable work) {
        lock.lock();
        try {
            work.run();
        } finally {
            lock.unlock();
        }
    }

    /** Runs work on a virtual thread, unless the server is stopping: what is left then is done after the next start. */
    void execute(Runnable work) {
        locked(() -> {
            if (!closing)
                workers.execute(work);
        });
    }

    /** Wakes everyone who waits for a change. Called under the lock. */
    void ring() { changed.signalAll(); }

    /** Asks until there is an answer or the time is over; then null. */
    <T> T await(Supplier<T> question, long millis) throws InterruptedException {
        lock.lockInterruptibly();
        try {
            long left = TimeUnit.MILLISECONDS.toNanos(millis);
            while (true) {
                T answer = question.get();
                if (answer != null || left <= 0 || closing)
                    return answer;
                left = changed.awaitNanos(left);
            }
        } finally {
            lock.unlock();
        }
    }

    /** Ends waiting polls and lets work under way end. Nothing is interrupted: that would close files being written. */
    @Override
    public void close() {
        locked(() -> {
            closing = true;
            ring();
        });
        workers.shutdown();
        try {
            if (!workers.awaitTermination(30, TimeUnit.SECONDS))
                throw new IllegalStateException("work on weights did not end within 30 s");
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
