package isthmus.backend;

import java.util.List;
import java.util.Optional;

/** How a backend says that it is there. Found by {@link java.util.ServiceLoader}. */
public interface BackendProvider {
    /** The device's name, such as {@code cpu}. */
    String name();

    /** Why the device cannot be used here; empty if it can. */
    Optional<String> problem();

    /** What was found of the device and of what it needs, for reports: name, versions, files, and what is missing. */
    default List<String> describe() {
        return List.of();
    }

    /** Opens the device for one computing thread that uses up to {@code threads} cores. */
    Backend open(int threads);

    /** Opens one of several devices of this kind, counted from 0. */
    default Backend open(int threads, int index) {
        if (index != 0) throw new IllegalArgumentException("there is one device " + name() + ", not number " + index);
        return open(threads);
    }

    /** A text that stands for one of the devices where it is not: what is planned for the device can be asked for with it. */
    default Properties properties(int index) {
        throw new IllegalStateException("device " + name() + " has no text that stands for it");
    }

    /** Such a text, and the device and library whose it is. */
    record Properties(String device, String library, String text) {}
}
