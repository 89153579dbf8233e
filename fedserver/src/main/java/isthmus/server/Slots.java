package isthmus.server;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * A round's verified updates, in the order of their sites' names, so that a fold does not depend on who came first.
 *
 * @param sites what each site sent
 */
public record Slots(List<Update> sites) {
    /**
     * One site's update.
     *
     * @param site its name, from its certificate
     * @param samples training samples behind it
     * @param difference trained minus global weights over the exchanged range, float32, read-only
     */
    public record Update(String site, long samples, MemorySegment difference) {}

    public Slots {
        sites = sites.stream().sorted(java.util.Comparator.comparing(Update::site)).toList();
        if (sites.isEmpty())
            throw new IllegalArgumentException("a fold needs at least one update");
    }

    /** The differences, in order. */
    public MemorySegment[] differences() {
        return sites.stream().map(Update::difference).toArray(MemorySegment[]::new);
    }

    /** Each site's share of all samples, in order; they add up to 1. */
    public double[] shares() {
        double all = sites.stream().mapToLong(Update::samples).sum();
        return sites.stream().mapToDouble(s -> s.samples() / all).toArray();
    }
}
