package isthmus.backend.cuda;

import isthmus.bindings.UserCache;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** Chooses among cuDNN's plans by running each, once for a shape, device and library; the choice is kept in the user's cache. */
final class ConvChoice {
    private static final int RUNS = 5;
    /** A plan may not take more than this for its workspace. */
    private static final long MOST_WORKSPACE = 1L << 30;

    private ConvChoice() {}

    static ConvPlan.Candidate best(Device device, ConvProblem problem, ConvPlan plan) {
        List<ConvPlan.Candidate> all = plan.candidates().stream().filter(c -> c.workspace() <= MOST_WORKSPACE).toList();
        if (all.size() == 1) return all.getFirst();
        List<String> key = List.of(device.name, Long.toString(device.libraries.cudnn().version()), problem.key(),
                all.stream().map(ConvPlan.Candidate::name).toList().toString());
        byte[] kept = UserCache.ofUser().get("plans", "conv", key,
                () -> fastest(device, problem, plan, all).name().getBytes(StandardCharsets.UTF_8));
        String name = new String(kept, StandardCharsets.UTF_8);
        // A damaged file names no plan: then the library's first choice serves.
        return all.stream().filter(c -> c.name().equals(name)).findFirst().orElse(all.getFirst());
    }

    private static ConvPlan.Candidate fastest(Device device, ConvProblem problem, ConvPlan plan,
            List<ConvPlan.Candidate> all) {
        try (Arena arena = Arena.ofConfined()) {
            long x = device.allocate(problem.x().elements() * problem.type().bytes(), arena);
            long w = device.allocate(problem.w().elements() * problem.weightType().bytes(), arena);
            long y = device.allocate(problem.y().elements() * problem.type().bytes(), arena);
            long workspace = device.allocate(all.stream().mapToLong(ConvPlan.Candidate::workspace).max().orElse(0),
                    arena);
            MemorySegment pack = plan.pack(x, w, y, workspace);
            ConvPlan.Candidate best = all.getFirst();
            float least = Float.MAX_VALUE;
            for (ConvPlan.Candidate c : all) {
                float time = time(device, plan, c, pack);
                if (time >= least) continue;
                least = time;
                best = c;
            }
            return best;
        }
    }

    /** The least of a few runs, in milliseconds; the first is not counted, as it may load code. */
    private static float time(Device device, ConvPlan plan, ConvPlan.Candidate candidate, MemorySegment pack) {
        MemorySegment begin = device.streams.createEvent(true);
        MemorySegment end = device.streams.createEvent(true);
        try {
            float least = Float.MAX_VALUE;
            for (int i = 0; i <= RUNS; i++) {
                device.streams.record(begin, device.stream);
                plan.run(candidate, pack);
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
