package isthmus.data;

import isthmus.tensor.HostThreads;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.IntConsumer;

/**
 * All pictures of a table, decoded once into one off-heap block of grey bytes: [size, resize, resize]. Where the block may not
 * hold them all, the first rows' lie there, and the others are decoded, and so found good or bad, when they are loaded, and
 * then again whenever they are asked for.
 *
 * <p>
 * Owns that memory until {@link #close}. Files that cannot be used are named, one line each, in {@link #problems}; they
 * are left out while their share stays within the limit. Safe for use by several threads.
 */
public final class ImageDataset implements AutoCloseable {
    private static final int LISTED = 50;

    /**
     * How pictures are loaded.
     *
     * @param threads  decoding threads
     * @param badLimit largest share of files that may be bad, 0 to 1
     * @param maxBytes largest memory that decoded pictures may take; 0 to keep none
     * @param reader   what reads a file
     * @param progress is told the number of files done so far; called by decoding threads, one at a time
     */
    public record Options(int threads, double badLimit, long maxBytes, ImageReader reader, IntConsumer progress) {
        public Options {
            if (threads < 1 || !(badLimit >= 0 && badLimit <= 1) || maxBytes < 0)
                throw new DataException("loading with " + threads + " threads, a limit of bad files of " + badLimit
                        + " and of memory of " + maxBytes
                        + " bytes; needed are a thread, a share of 0 to 1, and a limit that is not negative");
        }

        /** As many threads as cores, at most 1 % bad files, at most 16 GiB and half of the machine's memory. */
        public static Options standard() {
            return new Options(Runtime.getRuntime().availableProcessors(), 0.01, Math.min(16L << 30, memory() / 2),
                    new ImageReader(), n -> {});
        }

        private static long memory() {
            return ManagementFactory.getOperatingSystemMXBean() instanceof com.sun.management.OperatingSystemMXBean m
                    ? m.getTotalMemorySize()
                    : Long.MAX_VALUE;
        }

        public Options withThreads(int count) { return new Options(count, badLimit, maxBytes, reader, progress); }

        public Options withBadLimit(double share) { return new Options(threads, share, maxBytes, reader, progress); }

        public Options withMaxBytes(long bytes) { return new Options(threads, badLimit, bytes, reader, progress); }

        public Options withReader(ImageReader other) {
            return new Options(threads, badLimit, maxBytes, other, progress);
        }

        public Options withProgress(IntConsumer listener) {
            return new Options(threads, badLimit, maxBytes, reader, listener);
        }
    }

    private final LabelTable table;
    private final Preprocess preprocess;
    private final Arena arena;
    private final MemorySegment pixels;
    private final ImageReader reader;
    /** Rows of the table whose file could be read; row i of the table lies at square i, good or bad, if there is one. */
    private final int[] rows;
    private final List<String> problems;
    private final List<String> warnings;

    private ImageDataset(LabelTable table, Preprocess preprocess, Arena arena, MemorySegment pixels,
            ImageReader reader, int[] rows, List<String> problems, List<String> warnings) {
        this.table = table;
        this.reader = reader;
        this.preprocess = preprocess;
        this.arena = arena;
        this.pixels = pixels;
        this.rows = rows;
        this.problems = List.copyOf(problems);
        this.warnings = List.copyOf(warnings);
    }

    /**
     * Reads and shrinks every picture of {@code table}.
     *
     * @throws DataException if the share of bad files is above the limit, with the list of them
     */
    public static ImageDataset load(LabelTable table, Preprocess preprocess, Options options) {
        long square = (long) preprocess.resize() * preprocess.resize();
        long bytes = Math.min(table.rows(), options.maxBytes() / square) * square;
        Arena arena = Arena.ofShared();
        try {
            MemorySegment pixels = arena.allocate(bytes, 64);
            var load = new Load(table, preprocess, options, pixels);
            load.run();
            return new ImageDataset(table, preprocess, arena, pixels, options.reader(), load.good(), load.problems(),
                    load.warnings());
        } catch (Throwable e) {
            arena.close();
            throw e;
        }
    }

    /** Number of pictures. */
    public int size() { return rows.length; }

    public Preprocess preprocess() { return preprocess; }

    /** The label names. */
    public List<String> labels() { return table.labels(); }

    /** 1, 0 or {@link LabelTable#UNKNOWN}. */
    public float label(int item, int label) {
        return table.label(rows[item], label);
    }

    /** The file a picture came from. */
    public Path file(int item) { return table.file(rows[item]); }

    /** Pictures whose label is 1. */
    public int positives(int label) { return count(label, 1); }

    /** Pictures whose label is 0. */
    public int negatives(int label) { return count(label, 0); }

    /** The grey bytes [resize, resize] of one picture: a view, valid until {@link #close}, or decoded anew. */
    public MemorySegment image(int item) {
        return isKept(item)
                ? pixels.asSlice(offset(item), (long) preprocess.resize() * preprocess.resize()).asReadOnly()
                : decoded(item).asReadOnly();
    }

    /** Writes one picture as {@link Preprocess#apply} does. */
    public void preprocessed(int item, MemorySegment out, long offset) {
        new Sampler(preprocess).centre(image(item), 0, out, offset);
    }

    /** Pictures that are kept decoded. */
    public int kept() {
        int kept = 0;
        while (kept < rows.length && isKept(kept))
            kept++;
        return kept;
    }

    /** Memory that they take, bytes. */
    public long keptBytes() { return pixels.byteSize(); }

    /** One line a file that was left out, in the table's order. */
    public List<String> problems() { return problems; }

    /** What to look at before training: the table's warnings, then one line for each odd picture. */
    public List<String> warnings() {
        return warnings;
    }

    /** Gives the memory back; loaders over this data must be closed before. */
    @Override
    public void close() { if (arena.scope().isAlive())
        arena.close(); }

    MemorySegment pixels() { return pixels; }

    /** Whether a picture lies in {@link #pixels}. */
    boolean isKept(int item) {
        return offset(item) < pixels.byteSize();
    }

    /** Reads and shrinks one picture again. */
    MemorySegment decoded(int item) {
        return MemorySegment.ofArray(Resampler.square(reader.read(file(item)), preprocess.resize(), preprocess.fit()));
    }

    long offset(int item) { return (long) rows[item] * preprocess.resize() * preprocess.resize(); }

    private int count(int label, float value) {
        int count = 0;
        for (int item = 0; item < size(); item++)
            if (label(item, label) == value)
                count++;
        return count;
    }

    /** One parallel pass over the files. */
    private static final class Load {
        private final LabelTable table;
        private final Preprocess preprocess;
        private final Options options;
        private final MemorySegment pixels;
        private final String[] problem;
        private final String[] warning;
        private final AtomicInteger next = new AtomicInteger();
        private final AtomicReference<Throwable> failure = new AtomicReference<>();
        private int done;

        Load(LabelTable table, Preprocess preprocess, Options options, MemorySegment pixels) {
            this.table = table;
            this.preprocess = preprocess;
            this.options = options;
            this.pixels = pixels;
            problem = new String[table.rows()];
            warning = new String[table.rows()];
        }

        void run() {
            List<Thread> threads = new ArrayList<>();
            for (int i = 1; i < Math.min(options.threads(), table.rows()); i++)
                threads.add(HostThreads.start("decode-" + i, this::work));
            work();
            for (Thread thread : threads)
                join(thread);
            if (failure.get() != null)
                throw new DataException("loading stopped: " + failure.get(), failure.get());
            List<String> bad = problems();
            if (bad.size() == table.rows() || bad.size() > options.badLimit() * table.rows())
                throw new DataException(refusal(bad));
        }

        int[] good() {
            int[] rows = new int[table.rows()];
            int count = 0;
            for (int row = 0; row < problem.length; row++)
                if (problem[row] == null)
                    rows[count++] = row;
            return Arrays.copyOf(rows, count);
        }

        List<String> problems() { return listed(problem, List.of()); }

        List<String> warnings() {
            List<String> all = listed(warning, table.warnings());
            long kept = pixels.byteSize() / ((long) preprocess.resize() * preprocess.resize());
            if (kept < table.rows())
                all.add(String.format(Locale.ROOT,
                        "%d of %d pictures do not fit into the %d MB that decoded pictures may"
                                + " take and are decoded in every pass",
                        table.rows() - kept, table.rows(),
                        options.maxBytes() >> 20));
            return all;
        }

        private void work() {
            try {
                for (int row = next.getAndIncrement(); row < table.rows(); row = next.getAndIncrement()) {
                    decode(row);
                    report();
                }
            } catch (Throwable e) {
                failure.compareAndSet(null, e);
                next.set(table.rows());
            }
        }

        private void decode(int row) {
            try {
                GreyImage image = options.reader().read(table.file(row));
                byte[] square = Resampler.square(image, preprocess.resize(), preprocess.fit());
                long at = (long) row * square.length;
                if (at < pixels.byteSize())
                    MemorySegment.copy(MemorySegment.ofArray(square), 0, pixels, at, square.length);
                for (GreyImage.Flag flag : image.flags())
                    warning[row] = (warning[row] == null ? table.file(row) + ": " : warning[row] + "; ") + flag.words();
            } catch (DataException e) {
                problem[row] = e.getMessage();
            }
        }

        private synchronized void report() { options.progress().accept(++done); }

        private String refusal(List<String> bad) {
            var text = new StringBuilder();
            for (String line : bad.subList(0, Math.min(LISTED, bad.size())))
                text.append(line).append('\n');
            if (bad.size() > LISTED)
                text.append("and ").append(bad.size() - LISTED).append(" more\n");
            text.append(String.format(Locale.ROOT,
                    "%d of %d images are bad (%.1f %%), more than the %.1f %% allowed; mend or remove them, or raise the limit",
                    bad.size(), table.rows(), 100.0 * bad.size() / table.rows(), 100 * options.badLimit()));
            return text.toString();
        }

        private static List<String> listed(String[] lines, List<String> before) {
            var list = new ArrayList<>(before);
            for (String line : lines)
                if (line != null)
                    list.add(line);
            return list;
        }

        private static void join(Thread thread) {
            boolean interrupted = false;
            while (true) {
                try {
                    thread.join();
                    break;
                } catch (InterruptedException e) {
                    // The memory must outlive the thread; the interrupt is kept for the caller.
                    interrupted = true;
                }
            }
            if (interrupted)
                Thread.currentThread().interrupt();
        }
    }
}
