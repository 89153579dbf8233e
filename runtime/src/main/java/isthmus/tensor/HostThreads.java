package isthmus.tensor;

import isthmus.bindings.Affinity;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** Where this process's threads run: those that compute may be pinned, each to a core; those that work beside them never. */
public final class HostThreads {
    private HostThreads() {}

    /**
     * Pins the threads that will compute to the cores with these numbers, from 0 on among those that the process may use. To be
     * called before anything is computed; later it has no effect on them.
     */
    public static void pin(List<Integer> cores) {
        System.setProperty(Affinity.PROPERTY, String.join(",", cores.stream().map(String::valueOf).toList()));
    }

    /** The numbers of the cores to compute on: those that threads are pinned to, else all. */
    public static List<Integer> cores() {
        String pinned = System.getProperty(Affinity.PROPERTY);
        return pinned == null
                ? IntStream.range(0, Runtime.getRuntime().availableProcessors()).boxed().toList()
                : Stream.of(pinned.split(",", -1)).map(n -> Integer.valueOf(n.strip())).distinct().toList();
    }

    /** Starts a daemon, which runs on any core even where the thread that starts it is pinned to one. */
    public static Thread start(String name, Runnable work) {
        return Thread.ofPlatform().daemon().name(name).start(() -> {
            Affinity.release();
            work.run();
        });
    }
}
