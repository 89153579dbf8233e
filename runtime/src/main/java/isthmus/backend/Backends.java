package isthmus.backend;

import java.util.List;
import java.util.Optional;
import java.util.ServiceLoader;

/** The devices that this program knows. */
public final class Backends {
    private Backends() {}

    /** All providers, whether their device is there or not. */
    public static List<BackendProvider> all() {
        return ServiceLoader.load(BackendProvider.class, Backends.class.getClassLoader()).stream()
                .map(ServiceLoader.Provider::get).toList();
    }

    /**
     * Opens a device by name, as in {@code cpu}, {@code cuda} or {@code cuda:1}; the error says which devices there are, or why
     * this one cannot be used.
     */
    public static Backend open(String device, int threads) {
        List<BackendProvider> known = all();
        int colon = device.indexOf(':');
        String name = colon < 0 ? device : device.substring(0, colon);
        int index = colon < 0 ? 0 : number(device, device.substring(colon + 1));
        for (BackendProvider p : known) {
            if (!p.name().equals(name)) continue;
            Optional<String> problem = p.problem();
            if (problem.isPresent())
                throw new IllegalStateException("device " + name + " cannot be used: " + problem.get());
            return p.open(threads, index);
        }
        throw new IllegalArgumentException(
                "no device is called '" + name + "'; there are " + known.stream().map(BackendProvider::name).toList());
    }

    private static int number(String device, String text) {
        if (text.matches("\\d{1,3}")) return Integer.parseInt(text);
        throw new IllegalArgumentException("device '" + device + "': after the colon stands a number, as in cuda:1");
    }

    /** The CPU with up to {@code threads} cores. */
    public static Backend cpu(int threads) {
        return open("cpu", threads);
    }
}
