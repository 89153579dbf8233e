package isthmus.profile;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeSet;

/**
 * The computer that this runs on.
 *
 * @param model the processor's own name
 * @param cores that this process may use
 * @param features of the processor that matter here, as Linux names them
 */
public record Machine(String model, int cores, long memoryBytes, List<String> features) {
    private static final List<String> KNOWN = List.of("avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl",
            "avx512dq", "avx512_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni", "amx_tile", "amx_bf16", "amx_int8",
            "amx_fp16");

    /** Looks. */
    public static Machine here() {
        Map<String, String> first = firstProcessor();
        var flags = new TreeSet<>(List.of(first.getOrDefault("flags", "").split(" ")));
        return new Machine(first.getOrDefault("model name", "unknown"), Runtime.getRuntime().availableProcessors(),
                memory(), KNOWN.stream().filter(flags::contains).toList());
    }

    private static Map<String, String> firstProcessor() {
        Map<String, String> values = new LinkedHashMap<>();
        Path info = Path.of("/proc/cpuinfo");
        try {
            if (!Files.isReadable(info)) return values;
            for (String line : Files.readAllLines(info)) {
                int colon = line.indexOf(':');
                if (colon < 0) break;
                values.put(line.substring(0, colon).strip(), line.substring(colon + 1).strip());
            }
        } catch (IOException e) {
            values.put("model name", "unknown (" + e.getMessage() + ")");
        }
        return values;
    }

    private static long memory() {
        return ManagementFactory.getOperatingSystemMXBean() instanceof com.sun.management.OperatingSystemMXBean m
                ? m.getTotalMemorySize()
                : 0;
    }

    /** Name, cores and memory, and what its vectors can do. */
    @Override
    public String toString() {
        String vectors = features.contains("amx_bf16")
                ? "AMX"
                : features.contains("avx512_bf16")
                        ? "AVX-512 BF16"
                        : features.contains("avx512f") ? "AVX-512" : features.contains("avx2") ? "AVX2" : "no AVX2";
        return String.format(Locale.ROOT, "%s, %d cores, %.0f GB, %s", model, cores, memoryBytes / 1e9, vectors);
    }
}
