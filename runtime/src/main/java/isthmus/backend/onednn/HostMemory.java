package isthmus.backend.onednn;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/**
 * Memory that this process can still get: what the kernel calls available, or less if a control group limits the process.
 * Pages of files count as free, as the kernel drops them first.
 */
final class HostMemory {
    /** One generation of control groups: its files' names, and what counts as cached files in its statistics. */
    private record Group(Path folder, String limit, String used, List<String> cached) {
        long free() {
            long most = number(folder.resolve(limit));
            long taken = number(folder.resolve(used));
            return most < 0 || taken < 0 ? Long.MAX_VALUE : Math.max(0, most - taken + files());
        }

        private long files() {
            return lines(folder.resolve("memory.stat")).stream().map(l -> l.split(" "))
                    .filter(l -> l.length == 2 && cached.contains(l[0])).mapToLong(l -> Long.parseLong(l[1])).sum();
        }
    }

    private HostMemory() {}

    /** Bytes; as many as there can be where the system does not say. */
    static long free() {
        return Math.min(available(), groups().mapToLong(Group::free).min().orElse(Long.MAX_VALUE));
    }

    private static long available() {
        for (String line : lines(Path.of("/proc/meminfo")))
            if (line.startsWith("MemAvailable:")) return Long.parseLong(line.replaceAll("[^0-9]", "")) << 10;
        return Long.MAX_VALUE;
    }

    /** The process's groups, under the mount and, in a container that shows only its own, at its top. */
    private static Stream<Group> groups() {
        Stream.Builder<Group> found = Stream.builder();
        for (String line : lines(Path.of("/proc/self/cgroup"))) {
            String[] parts = line.split(":", 3);
            if (parts.length < 3) continue;
            String below = parts[2].substring(1);
            if (parts[1].isEmpty()) {
                Path root = Path.of("/sys/fs/cgroup");
                for (Path folder : List.of(root, root.resolve(below)))
                    found.add(new Group(folder, "memory.max", "memory.current",
                            List.of("active_file", "inactive_file")));
            } else if (List.of(parts[1].split(",")).contains("memory")) {
                Path root = Path.of("/sys/fs/cgroup/memory");
                for (Path folder : List.of(root, root.resolve(below)))
                    found.add(new Group(folder, "memory.limit_in_bytes", "memory.usage_in_bytes",
                            List.of("total_active_file", "total_inactive_file")));
            }
        }
        return found.build();
    }

    /** The file's number; -1 if there is none, or no limit ("max"). */
    private static long number(Path file) {
        List<String> text = lines(file);
        return text.isEmpty() || !text.getFirst().matches("\\d{1,18}") ? -1 : Long.parseLong(text.getFirst());
    }

    private static List<String> lines(Path file) {
        try {
            return Files.isReadable(file) ? Files.readAllLines(file) : List.of();
        } catch (IOException e) {
            return List.of(); // a group that went away meanwhile
        }
    }
}
