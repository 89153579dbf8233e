package isthmus.task;

import isthmus.backend.Backend;
import isthmus.backend.Backends;
import java.util.Optional;

/**
 * What computes.
 *
 * @param device as {@link Backends#open} takes it: cpu, cuda, cuda:1
 * @param threads cores of the host
 * @param fallback device to go on with when this one is lost; empty to give up
 */
public record Compute(String device, int threads, Optional<String> fallback) {
    /** A device without another to fall back to. */
    public Compute(String device, int threads) {
        this(device, threads, Optional.empty());
    }

    /** The CPU. */
    public static Compute cpu(int threads) { return new Compute("cpu", threads); }

    /** The same with another device to fall back to. */
    public Compute orElse(Optional<String> other) {
        return new Compute(device, threads, other);
    }

    /** What computes when the device is lost. */
    Optional<Compute> next() {
        return fallback.map(d -> new Compute(d, threads));
    }

    /** Opens the device for the calling thread. */
    public Backend open() { return Backends.open(device, threads); }
}
