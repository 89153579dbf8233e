package isthmus.task;

import isthmus.tensor.HostThreads;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * The right to compute on some of the machine's cores, shared fairly with this user's other processes through file locks:
 * OpenMP teams that together outnumber the cores collapse to a fraction of their speed. The system gives the locks back when
 * a process ends, however it ends. Threads of one process wait for each other as processes do.
 */
public final class CoreLease implements AutoCloseable {
    /** Another process's lock the system waits for; for one that this process has, Java has no way to wait but to ask again. */
    private static final long POLL_MS = 10;

    private final SortedMap<Integer, FileChannel> held;

    private CoreLease(SortedMap<Integer, FileChannel> held) { this.held = held; }

    /**
     * Waits until {@code threads} of the machine's cores are free, and takes them; more than there are counts as all. Where
     * threads are pinned, these are the only cores that will do.
     */
    public static CoreLease acquire(int threads) throws IOException {
        List<Integer> cores = HostThreads.cores();
        int wanted = Math.min(threads, cores.size());
        Path folder = Files.createDirectories(userFolder().resolve("cores"));
        SortedMap<Integer, FileChannel> held = new TreeMap<>();
        // Only who holds the gate takes cores, so two processes never wait for each other's.
        try (FileChannel gate = open(folder.resolve("gate")); FileLock turn = lock(gate)) {
            for (int i = 0; held.size() < wanted; i = (i + 1) % cores.size()) {
                FileChannel channel = open(folder.resolve("core" + cores.get(i)));
                boolean last = cores.size() - i <= wanted - held.size();
                FileLock lock = last ? lock(channel) : tryLock(channel);
                if (lock != null) held.put(cores.get(i), channel);
                else
                    channel.close();
            }
            return new CoreLease(held);
        } catch (IOException | RuntimeException e) {
            for (FileChannel c : held.values())
                c.close();
            throw e;
        }
    }

    /** The numbers of the cores that it has. */
    public List<Integer> cores() { return List.copyOf(held.keySet()); }

    /** Waits for a lock that another process may hold, or another thread of this one, which Java refuses to wait for. */
    private static FileLock lock(FileChannel channel) throws IOException {
        while (true) {
            try {
                return channel.lock();
            } catch (OverlappingFileLockException e) {
                try {
                    Thread.sleep(POLL_MS);
                } catch (InterruptedException stop) {
                    Thread.currentThread().interrupt();
                    throw new InterruptedIOException("interrupted while waiting for free cores");
                }
            }
        }
    }

    private static FileLock tryLock(FileChannel channel) throws IOException {
        try {
            return channel.tryLock();
        } catch (OverlappingFileLockException e) {
            return null;
        }
    }

    /** Where the natives' cache is too: ISTHMUS_CACHE, else below XDG_CACHE_HOME, else below ~/.cache. */
    private static Path userFolder() {
        String own = System.getProperty("isthmus.cache", System.getenv("ISTHMUS_CACHE"));
        if (own != null && !own.isBlank()) return Path.of(own);
        String cache = System.getenv("XDG_CACHE_HOME");
        return (cache == null || cache.isBlank() ? Path.of(System.getProperty("user.home"), ".cache") : Path.of(cache))
                .resolve("isthmus");
    }

    private static FileChannel open(Path file) throws IOException {
        return FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
    }

    @Override
    public void close() throws IOException {
        for (FileChannel c : held.values())
            c.close();
    }
}
