package isthmus.bindings;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.BitSet;
import java.util.stream.Collectors;

/**
 * Which cores threads may run on. Computing threads are pinned, each to a core of its own, where the property
 * {@code isthmus.pin} names cores before the first native call: numbers from 0 on, among those that the process may use.
 */
public final class Affinity {
    /** Names the cores, as in {@code 0,1,2}; absent, threads run where the system puts them. */
    public static final String PROPERTY = "isthmus.pin";

    private static final int MOST_CORES = 8192;

    /** Holds what the process may use: it must be asked before the first thread is pinned. */
    private static final class AtStart {
        static final int[] CORES = cores();
    }

    private Affinity() {}

    /** The cores that the calling thread may run on, as the system counts them. */
    public static int[] cores() {
        try (Arena scratch = Arena.ofConfined()) {
            MemorySegment mask = scratch.allocate(MOST_CORES / Byte.SIZE, Long.BYTES);
            Libc.affinity(mask);
            return BitSet.valueOf(mask.toArray(ValueLayout.JAVA_LONG)).stream().toArray();
        }
    }

    /**
     * Lets the calling thread run on all of the process's cores again. A thread begins where the one that started it may run, so
     * one that a pinned thread started, to read or decode beside it, would share that one's core.
     */
    public static void release() {
        if (System.getProperty(PROPERTY) == null) return;
        var all = new BitSet(MOST_CORES);
        Arrays.stream(AtStart.CORES).forEach(all::set);
        try (Arena scratch = Arena.ofConfined()) {
            MemorySegment mask = scratch.allocate(MOST_CORES / Byte.SIZE, Long.BYTES);
            mask.copyFrom(MemorySegment.ofArray(all.toLongArray()));
            Libc.setAffinity(mask);
        }
    }

    /** OpenMP's way to write the cores with these numbers. */
    static String places(String numbers) {
        int[] cores = AtStart.CORES;
        return Arrays.stream(numbers.split(",", -1)).map(String::strip).map(n -> {
            if (!n.matches("\\d{1,5}") || Integer.parseInt(n) >= cores.length)
                throw new IllegalArgumentException(PROPERTY + " is '" + numbers + "'; it names some of the "
                        + cores.length + " cores of this process, from 0 on, as in 0,1");
            return "{" + cores[Integer.parseInt(n)] + "}";
        }).collect(Collectors.joining(","));
    }
}
