package isthmus.task;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** However many processes and threads want cores, those that have some have together no more than there are. */
class CoreLeaseTest {
    private static final int CORES = Runtime.getRuntime().availableProcessors();
    private static final int TURNS = 20;

    @TempDir
    Path folder;

    /**
     * Takes cores again and again: threads in each, cache folder and file in the arguments. Notes each lease's begin and end
     * as a line that is appended in one piece.
     */
    static final class Taker {
        private Taker() {}

        public static void main(String[] args) throws Exception {
            Path log = Path.of(args[0]);
            int threads = Integer.parseInt(args[1]);
            for (int i = 0; i < TURNS; i++) {
                try (CoreLease lease = CoreLease.acquire(threads)) {
                    note(log, threads);
                    Thread.sleep(1);
                    note(log, -threads);
                }
            }
        }

        static void note(Path log, int change) throws IOException {
            Files.writeString(log, change + "\n", StandardOpenOption.APPEND);
        }
    }

    @Test
    void processesAndThreadsNeverHaveMoreThanThereAre() throws Exception {
        Path log = Files.createFile(folder.resolve("log"));
        List<Process> processes = new ArrayList<>();
        // Three sites that want all, as in a demonstration, and one that wants a single core.
        for (int threads : new int[]{CORES, CORES, CORES, 1})
            processes.add(new ProcessBuilder(ProcessHandle.current().info().command().orElseThrow(), "-Xmx64m",
                    "-Disthmus.cache=" + folder, "-cp", System.getProperty("java.class.path"), Taker.class.getName(),
                    log.toString(), Integer.toString(threads)).inheritIO().start());
        for (Process p : processes) {
            assertTrue(p.waitFor(2, TimeUnit.MINUTES), "somebody waits for ever");
            assertEquals(0, p.exitValue());
        }
        List<Integer> changes = Files.readAllLines(log).stream().map(Integer::parseInt).toList();
        assertEquals(2 * TURNS * processes.size(), changes.size());
        int taken = 0;
        for (int change : changes) {
            taken += change;
            assertTrue(taken >= 0 && taken <= CORES, taken + " of " + CORES + " cores are taken");
        }
        assertEquals(0, taken);
    }

    @Test
    void threadsOfOneProcessTakeTurns() throws Exception {
        String before = System.getProperty("isthmus.cache");
        System.setProperty("isthmus.cache", folder.toString());
        Path log = Files.createFile(folder.resolve("log"));
        try (var threads = Executors.newFixedThreadPool(3)) {
            List<Callable<Void>> tasks = new ArrayList<>();
            for (int i = 0; i < 3; i++)
                tasks.add(() -> {
                    Taker.main(new String[]{log.toString(), Integer.toString(CORES)});
                    return null;
                });
            for (Future<Void> each : threads.invokeAll(tasks))
                each.get();
        } finally {
            if (before == null) System.clearProperty("isthmus.cache");
            else
                System.setProperty("isthmus.cache", before);
        }
        int taken = 0;
        for (String line : Files.readAllLines(log)) {
            taken += Integer.parseInt(line);
            assertTrue(taken == 0 || taken == CORES, taken + " of " + CORES + " cores are taken");
        }
    }
}
