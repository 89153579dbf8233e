package isthmus.task;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import isthmus.backend.Backend;
import isthmus.tensor.HostMath;
import isthmus.tensor.HostThreads;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Where the system says that threads may run, in processes of their own: what is pinned is settled once a process. */
class PinningTest {
    private static final int CORES = Runtime.getRuntime().availableProcessors();

    @TempDir
    Path folder;

    /** Computes with as many threads as the argument says, pinned if there is a second one, and says where each may run. */
    static final class Computing {
        private Computing() {}

        public static void main(String[] args) throws Exception {
            int threads = Integer.parseInt(args[0]);
            if (args.length > 1) {
                try (CoreLease lease = CoreLease.acquire(threads)) {
                    HostThreads.pin(lease.cores());
                }
            }
            try (CoreLease lease = CoreLease.acquire(threads);
                    Backend backend = Compute.cpu(threads).open();
                    Arena arena = Arena.ofConfined()) {
                backend.enter();
                int n = 1 << 24;
                HostMath.sumOfSquares(arena.allocate(4L * n, 64), n);
            }
            HostThreads.start("beside", () -> say("beside", "/proc/thread-self")).join();
            say("master", "/proc/thread-self");
            try (Stream<Path> all = Files.list(Path.of("/proc/self/task"))) {
                all.forEach(Computing::sayIfAlive);
            }
        }

        /** The JVM's own threads come and go. */
        private static void sayIfAlive(Path thread) {
            try {
                say("thread", thread.toString());
            } catch (UncheckedIOException e) {
                if (Files.exists(thread)) throw e;
            }
        }

        private static void say(String what, String thread) {
            try (Stream<String> lines = Files.lines(Path.of(thread, "status"))) {
                System.out.println(what + " " + allowed(lines));
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    private static String allowed(Stream<String> status) {
        return status.filter(l -> l.startsWith("Cpus_allowed_list:")).map(l -> l.substring(18).strip()).findFirst()
                .orElseThrow();
    }

    /** What the process said of that kind of thread. */
    private List<String> of(String kind, String... arguments) throws Exception {
        List<String> command = new ArrayList<>(
                List.of(ProcessHandle.current().info().command().orElseThrow(), "-Xmx64m",
                        "--enable-native-access=ALL-UNNAMED", "-Disthmus.cache=" + folder, "-cp",
                        System.getProperty("java.class.path"), Computing.class.getName()));
        command.addAll(List.of(arguments));
        Process process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertTrue(process.waitFor(1, TimeUnit.MINUTES));
        assertEquals(0, process.exitValue(), said);
        return said.lines().filter(l -> l.startsWith(kind + " ")).map(l -> l.substring(kind.length() + 1)).toList();
    }

    private static String everywhere() throws IOException {
        try (Stream<String> lines = Files.lines(Path.of("/proc/self/status"))) {
            return allowed(lines);
        }
    }

    @Test
    void eachComputingThreadHasACoreOfItsOwnAndNoOtherThreadIsBound() throws Exception {
        assumeTrue(CORES > 1, "one core is every thread's");
        Set<String> own = new TreeSet<>();
        List<String> threads = of("thread", Integer.toString(CORES), "pin");
        for (String where : threads)
            if (!where.equals(everywhere())) assertTrue(own.add(where), where + " is pinned to twice: " + threads);
        assertEquals(CORES, own.size(), threads.toString());
        assertTrue(own.stream().allMatch(w -> w.matches("\\d+")), own + " are single cores");
        assertTrue(own.containsAll(of("master", Integer.toString(CORES), "pin")));
        assertEquals(List.of(everywhere()), of("beside", Integer.toString(CORES), "pin"));
    }

    @Test
    void twoProcessesArePinnedToDifferentCores() throws Exception {
        assumeTrue(CORES > 1, "one core is every thread's");
        String before = System.getProperty("isthmus.cache");
        System.setProperty("isthmus.cache", folder.toString());
        try (CoreLease ours = CoreLease.acquire(1)) {
            assertEquals(List.of(0), ours.cores());
            List<String> theirs = of("master", "1", "pin");
            assertTrue(theirs.getFirst().matches("\\d+") && !theirs.equals(List.of(firstCore())), theirs.toString());
        } finally {
            if (before == null) System.clearProperty("isthmus.cache");
            else
                System.setProperty("isthmus.cache", before);
        }
    }

    private static String firstCore() throws IOException { return everywhere().split("[-,]", 2)[0]; }

    @Test
    void unlessAskedNoThreadIsBound() throws Exception {
        assertEquals(Set.of(everywhere()), Set.copyOf(of("thread", Integer.toString(CORES))));
    }
}
