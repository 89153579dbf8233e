package isthmus.backend.cuda;

import isthmus.bindings.NativeException;
import isthmus.bindings.UserCache;
import isthmus.bindings.cuda.CudaConstants;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Optional;

/**
 * Chooses among engines by running each, once for a shape, device and library; the choice is kept in the user's cache. The
 * emulation's times say nothing: there our own engines go first, so that their kernels are run.
 */
final class ConvChoice {
    /** System property: only engines whose name begins with this, where there are any; {@code own} or {@code cudnn}. */
    static final String ENGINES = "isthmus.cuda.convolutions";
    private static final int RUNS = 5;
    /** What is this many times slower than the best on its first run is not run again. */
    private static final float HOPELESS = 2;
    /** An engine may not take more than this for its workspace. */
    private static final long MOST_SCRATCH = 1L << 30;

    private ConvChoice() {}

    /** The engine that was fastest when the problem was met before; nothing if it was not. */
    static Optional<String> known(Device device, ConvProblem problem) {
        return UserCache.ofUser().find("plans", "conv", key(device, problem))
                .map(kept -> new String(kept, StandardCharsets.UTF_8));
    }

    /** The fastest, which is kept as known; the others are not closed. */
    static ConvEngine best(Device device, ConvProblem problem, List<ConvEngine> engines) {
        List<ConvEngine> small = engines.stream().filter(e -> e.scratch() <= MOST_SCRATCH).toList();
        List<ConvEngine> all = named(small.isEmpty() ? engines : small, prefix(device));
        try {
            ConvEngine best = all.size() == 1 ? all.getFirst() : fastest(device, problem, all);
            UserCache.ofUser().keep("plans", "conv", key(device, problem),
                    best.name().getBytes(StandardCharsets.UTF_8));
            return best;
        } catch (NativeException e) {
            if (e.status() != CudaConstants.CUDA_ERROR_OUT_OF_MEMORY) throw e;
            // A step of this size will not fit either, which is told when all of it is planned.
            return all.getFirst();
        }
    }

    private static List<String> key(Device device, ConvProblem problem) {
        return List.of(device.name + " " + device.multiprocessors, Long.toString(device.libraries.cudnn().version()),
                problem.key(), prefix(device), System.getProperty(Convolutions.TF32, ""));
    }

    private static String prefix(Device device) {
        return System.getProperty(ENGINES, device.libraries.isEmulation() ? "own" : "");
    }

    private static List<ConvEngine> named(List<ConvEngine> engines, String prefix) {
        List<ConvEngine> some = engines.stream().filter(e -> e.name().startsWith(prefix)).toList();
        return some.isEmpty() ? engines : some;
    }

    private static ConvEngine fastest(Device device, ConvProblem problem, List<ConvEngine> all) {
        try (Arena memory = Arena.ofConfined(); Arena arguments = Arena.ofShared()) {
            long x = device.allocate(problem.extentX() * problem.type().bytes(), memory);
            long w = device.allocate(problem.w().elements() * Float.BYTES, memory);
            long y = device.allocate(problem.extentY() * problem.type().bytes(), memory);
            long scratch = device.allocate(all.stream().mapToLong(ConvEngine::scratch).max().orElse(0), memory);
            ConvEngine best = all.getFirst();
            float least = Float.MAX_VALUE;
            for (ConvEngine e : all) {
                Launches to = new Launches(device, arguments);
                e.bind(to, MemorySegment.ofAddress(x), MemorySegment.ofAddress(w), MemorySegment.ofAddress(y),
                        MemorySegment.ofAddress(scratch));
                float time = time(device, to.calls(), HOPELESS * least);
                if (time >= least) continue;
                least = time;
                best = e;
            }
            device.synchronize();
            return best;
        }
    }

    /** The least of a few runs, in milliseconds; the first is not counted, as it may load code. */
    private static float time(Device device, Runnable[] calls, float hopeless) {
        MemorySegment begin = device.streams.createEvent(true);
        MemorySegment end = device.streams.createEvent(true);
        try {
            float least = Float.MAX_VALUE;
            for (int i = 0; i <= RUNS && (i < 2 || least < hopeless); i++) {
                device.streams.record(begin, device.stream);
                for (Runnable call : calls)
                    call.run();
                device.streams.record(end, device.stream);
                device.streams.awaitEvent(end);
                if (i > 0) least = Math.min(least, device.streams.elapsed(begin, end));
            }
            return least;
        } finally {
            device.streams.destroyEvent(begin);
            device.streams.destroyEvent(end);
        }
    }
}
