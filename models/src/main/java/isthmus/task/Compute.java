package isthmus.task;

import isthmus.backend.Backend;
import isthmus.backend.Backends;

/**
 * What computes.
 *
 * @param device as {@link Backends#open} takes it: cpu, cuda, cuda:1
 * @param threads cores of the host
 */
public record Compute(String device, int threads) {
    /** The CPU. */
    public static Compute cpu(int threads) { return new Compute("cpu", threads); }

    /** Opens the device for the calling thread. */
    public Backend open() { return Backends.open(device, threads); }
}
