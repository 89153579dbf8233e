package isthmus.profile;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** What this process has used of the machine so far, from Linux's process files; NaN or 0 where there are none. */
record ProcessUsage(long minorFaults, double userMs, double systemMs) {
    /** The kernel reports times in hundredths of a second to every program. */
    private static final double TICK_MS = 10;

    static ProcessUsage now() {
        List<String> lines = lines(Path.of("/proc/self/stat"));
        if (lines.isEmpty()) return new ProcessUsage(0, Double.NaN, Double.NaN);
        // The program's name, in brackets, may hold anything; fields are counted from behind it.
        String text = lines.getFirst();
        String[] fields = text.substring(text.lastIndexOf(')') + 2).split(" ", -1);
        return new ProcessUsage(Long.parseLong(fields[7]), Long.parseLong(fields[11]) * TICK_MS,
                Long.parseLong(fields[12]) * TICK_MS);
    }

    /** The most memory this process ever held, in MiB. */
    static double peakRssMb() {
        for (String line : lines(Path.of("/proc/self/status")))
            if (line.startsWith("VmHWM:")) return Long.parseLong(line.replaceAll("[^0-9]", "")) / 1024.0;
        return Double.NaN;
    }

    private static List<String> lines(Path file) {
        try {
            return Files.isReadable(file) ? Files.readAllLines(file) : List.of();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
