package isthmus.backend;

import java.util.List;
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
    public static Backend open(String device, int threads) { return usable(device).open(threads, index(device)); }

    /** The text that stands for a device; the errors are those of {@link #open}. */
    public static BackendProvider.Properties properties(String device) {
        return usable(device).properties(index(device));
    }

    private static BackendProvider usable(String device) {
        List<BackendProvider> known = all();
        String name = device.split(":", 2)[0];
        BackendProvider provider = known.stream().filter(p -> p.name().equals(name)).findFirst()
                .orElseThrow(() -> new IllegalArgumentException("no device is called '" + name + "'; there are "
                        + known.stream().map(BackendProvider::name).toList()));
        provider.problem().ifPresent(problem -> {
            throw new IllegalStateException("device " + name + " cannot be used: " + problem);
        });
        return provider;
    }

    private static int index(String device) {
        int colon = device.indexOf(':');
        return colon < 0 ? 0 : number(device, device.substring(colon + 1));
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
