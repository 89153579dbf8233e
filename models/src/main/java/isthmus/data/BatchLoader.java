package isthmus.data;

import isthmus.tensor.HostThreads;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;

/**
 * Makes batches ahead of their use, with several threads, in a ring of off-heap blocks. Pictures go out
 * {@linkplain isthmus.tensor.RawPicture raw}: a byte a pixel and how they vary; the device does the rest.
 *
 * <p>
 * A batch depends on data, options, epoch and its number only: any number of workers gives the same bits. One thread
 * consumes; the workers are daemons and end on {@link #close}. Once it runs, a batch of pictures that are kept decoded
 * costs no Java heap.
 */
public final class BatchLoader implements AutoCloseable {
    /** A stream of random numbers that no picture uses. */
    private static final long SHUFFLE = -1;

    /**
     * What batches are made, and how.
     *
     * @param batch    pictures a batch
     * @param workers  threads that make them
     * @param prefetch batches made ahead
     * @param shuffle  whether each epoch has its own order
     * @param dropLast whether an epoch leaves out the pictures that fill no whole batch
     * @param seed     of order and variation
     * @param augment  how pictures vary
     */
    public record Options(int batch, int workers, int prefetch, boolean shuffle, boolean dropLast, long seed,
            Augment augment) {
        public Options {
            if (batch < 1 || workers < 1 || prefetch < 1)
                throw new DataException(
                        "a loader with batches of " + batch + ", " + workers + " workers and " + prefetch
                                + " batches ahead; each is at least 1");
        }

        /** Shuffled and varied, without the incomplete last batch; two workers, four batches ahead. */
        public static Options training(int batch, long seed, Augment augment) {
            return new Options(batch, 2, 4, true, true, seed, augment);
        }

        /** Every picture once, in the data's order, unchanged. */
        public static Options evaluation(int batch) {
            return new Options(batch, 2, 4, false, false, 0, Augment.NONE);
        }

        public Options withWorkers(int count) {
            return new Options(batch, count, Math.max(prefetch, count), shuffle, dropLast, seed, augment);
        }

        public Options withPrefetch(int batches) {
            return new Options(batch, workers, batches, shuffle, dropLast, seed, augment);
        }

        public Options withDropLast(boolean drop) {
            return new Options(batch, workers, prefetch, shuffle, drop, seed, augment);
        }
    }

    private final ImageDataset data;
    private final Options options;
    private final Arena arena = Arena.ofShared();
    private final Batch[] ring;
    /** Number of the batch that is ready in a place of the ring; -1 while none is. */
    private final int[] ready;
    private final int[] order;
    private final int batches;
    private final CounterRandom random = new CounterRandom();
    private final List<Thread> threads = new ArrayList<>();

    // All below is guarded by this object's monitor.
    private long epoch;
    /** Counts epochs begun, so that an iterator of an earlier one is found out. */
    private long pass;
    private int claimed;
    private int released;
    private int working;
    private boolean closed;
    private Throwable failure;

    /** Starts the workers; they rest until an epoch begins. */
    public BatchLoader(ImageDataset data, Options options) {
        this.data = data;
        this.options = options;
        int n = data.size();
        batches = options.dropLast() ? n / options.batch() : (n + options.batch() - 1) / options.batch();
        if (batches == 0)
            throw new DataException("the data have " + n + " images, fewer than one batch of " + options.batch()
                    + "; use smaller batches or keep the last, incomplete one");
        order = new int[n];
        claimed = batches;
        ring = new Batch[options.prefetch() + 1];
        ready = new int[ring.length];
        long images = (long) options.batch() * data.preprocess().raw().bytes();
        long labels = (long) options.batch() * data.labels().size() * Float.BYTES;
        for (int i = 0; i < ring.length; i++)
            ring[i] = new Batch(arena.allocate(images, 64), arena.allocate(labels, 64), options.batch());
        for (int i = 0; i < options.workers(); i++)
            threads.add(HostThreads.start("batches-" + i, this::work));
    }

    /** Batches an epoch. */
    public int batches() { return batches; }

    /** Pictures of an epoch's last batch. */
    public int lastBatch() {
        int rest = order.length - (batches - 1) * options.batch();
        return Math.min(rest, options.batch());
    }

    /** Pictures a batch has room for. */
    public int batchSize() { return options.batch(); }

    /**
     * Begins an epoch and gives its batches, once; what is left of an earlier one is dropped. A batch is valid until the
     * next is asked for.
     */
    public Iterable<Batch> epoch(long number) {
        long begun = begin(number);
        return () -> new Iterator<>() {
            private int next;

            @Override
            public boolean hasNext() { return next < batches; }

            @Override
            public Batch next() {
                if (next >= batches)
                    throw new NoSuchElementException("epoch " + number + " has " + batches + " batches");
                return take(begun, next++);
            }
        };
    }

    private synchronized long begin(long number) {
        // Nothing more is claimed, and what is being made is waited for: then the ring is free.
        claimed = batches;
        while (working > 0)
            rest();
        check();
        epoch = number;
        for (int i = 0; i < order.length; i++)
            order[i] = i;
        if (options.shuffle()) {
            random.at(options.seed(), number, SHUFFLE);
            for (int i = order.length - 1; i > 0; i--) {
                int j = random.nextInt(i + 1);
                int swap = order[i];
                order[i] = order[j];
                order[j] = swap;
            }
        }
        Arrays.fill(ready, -1);
        released = 0;
        claimed = 0;
        notifyAll();
        return ++pass;
    }

    private synchronized Batch take(long begun, int number) {
        if (begun != pass)
            throw new IllegalStateException("these batches are of an epoch that another has replaced");
        // Asking for a batch gives the one before it back.
        released = number;
        notifyAll();
        int place = number % ring.length;
        while (ready[place] != number) {
            check();
            rest();
        }
        return ring[place];
    }

    private void check() {
        if (failure != null)
            throw new DataException(failure instanceof DataException
                    ? failure.getMessage()
                    : "batches can no longer be made: " + failure, failure);
        if (closed)
            throw new IllegalStateException("the loader is closed");
    }

    private void work() {
        try {
            var pictures = new RawPictures(data.preprocess());
            for (int number = claim(); number >= 0; number = claim()) {
                boolean filled = false;
                try {
                    fill(number, pictures);
                    filled = true;
                } finally {
                    finish(number, filled);
                }
            }
        } catch (Throwable e) {
            // Whatever stops a worker, the consumer must hear of it and not wait for ever.
            fail(e);
        }
    }

    /** Waits for a batch to make; -1 when there will be none. */
    private synchronized int claim() {
        while (!closed && failure == null && (claimed >= batches || claimed >= released + ring.length))
            rest();
        if (closed || failure != null)
            return -1;
        working++;
        return claimed++;
    }

    private synchronized void finish(int number, boolean filled) {
        working--;
        if (filled)
            ready[number % ring.length] = number;
        notifyAll();
    }

    private synchronized void fail(Throwable reason) {
        if (failure == null)
            failure = reason;
        notifyAll();
    }

    private void fill(int number, RawPictures pictures) {
        Batch batch = ring[number % ring.length];
        int first = number * options.batch();
        int count = Math.min(options.batch(), order.length - first);
        long bytes = data.preprocess().raw().bytes();
        for (int i = 0; i < count; i++) {
            int item = order[first + i];
            batch.set(i, item);
            try {
                picture(item, pictures, batch.images(), i * bytes);
            } catch (RuntimeException e) {
                throw new DataException(
                        data.file(item) + ": cannot be put into batch " + number + ": " + e.getMessage(), e);
            }
            label(batch.labels(), i, item);
        }
        batch.count(count);
        if (count < options.batch()) {
            batch.images().asSlice(count * bytes).fill((byte) 0);
            for (int i = count; i < options.batch(); i++)
                label(batch.labels(), i, -1);
        }
    }

    private void picture(int item, RawPictures pictures, MemorySegment out, long offset) {
        boolean kept = data.isKept(item);
        MemorySegment squares = kept ? data.pixels() : data.decoded(item);
        long square = kept ? data.offset(item) : 0;
        if (options.augment().equals(Augment.NONE)) pictures.centre(squares, square, out, offset);
        else
            pictures.varied(squares, square, options.augment(), options.seed(), epoch, item, out, offset);
    }

    private void label(MemorySegment out, int place, int item) {
        int width = data.labels().size();
        for (int i = 0; i < width; i++)
            out.setAtIndex(ValueLayout.JAVA_FLOAT, (long) place * width + i,
                    item < 0 ? LabelTable.UNKNOWN : data.label(item, i));
    }

    /** Waits on the monitor; an interrupt ends the loader's work, since nobody waits for it any more. */
    @SuppressWarnings("WaitNotInLoop") // each caller asks its own condition again in a loop
    private void rest() {
        try {
            wait();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while waiting for a batch", e);
        }
    }

    /** Stops the workers and gives the ring's memory back. */
    @Override
    public void close() {
        synchronized (this) {
            closed = true;
            notifyAll();
        }
        boolean interrupted = false;
        for (Thread thread : threads) {
            while (thread.isAlive()) {
                try {
                    thread.join();
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        }
        if (interrupted)
            Thread.currentThread().interrupt();
        if (arena.scope().isAlive())
            arena.close();
    }
}
