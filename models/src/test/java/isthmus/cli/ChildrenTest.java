package isthmus.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.provision.Project;
import isthmus.provision.Provisioner;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Child processes never outlive who started them, and say why they died. */
class ChildrenTest {
    private static final long LONG = 60;

    @TempDir
    Path folder;

    private List<String> server() throws Exception {
        Provisioner.provision(new Project("test", List.of("localhost"), 8443, List.of("a"), List.of("admin"), 1),
                folder.resolve("kits"));
        return List.of("server", "--json", "--kit", folder.resolve("kits/server").toString(), "--data",
                folder.resolve("data").toString(),
                "--bind", "127.0.0.1", "--port", "0");
    }

    @Test
    void closingEndsThemAndKeepsTheirWords() throws Exception {
        Children.Child child;
        try (Children children = new Children()) {
            child = children.start("server", "64m", folder, server());
            while (!Files.readString(child.out()).contains("listening")) {
                children.check();
                Thread.sleep(50);
            }
            assertTrue(child.process().isAlive());
        }
        assertFalse(child.process().isAlive());
        assertTrue(Files.readString(child.out()).contains("\"port\""));
    }

    @Test
    void aDeadChildsLastWordsAreShown() throws Exception {
        try (Children children = new Children()) {
            Children.Child child = children.start("broken", "64m", folder,
                    List.of("server", "--kit", folder.resolve("none").toString(), "--data",
                            folder.resolve("data").toString()));
            assertTrue(child.process().waitFor(LONG, TimeUnit.SECONDS));
            CliException e = assertThrows(CliException.class, children::check);
            assertTrue(e.getMessage().contains("process broken ended with code 1"), e.getMessage());
            assertTrue(e.getMessage().contains("connection.json is missing"), e.getMessage());
        }
    }

    /** A parent that is killed runs no hook: the child must notice by itself. */
    @Test
    void aKilledParentTakesItsChildrenAlong() throws Exception {
        server();
        Process parent = new ProcessBuilder(ProcessHandle.current().info().command().orElseThrow(), "-Xmx64m", "-cp",
                System.getProperty("java.class.path"), KilledParent.class.getName(), folder.toString())
                .redirectErrorStream(true).start();
        String said = new String(parent.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertTrue(parent.waitFor(LONG, TimeUnit.SECONDS));
        assertEquals(9, parent.exitValue(), said);
        long child = Long
                .parseLong(said.lines().filter(l -> l.startsWith("child ")).findFirst().orElseThrow().substring(6));
        var handle = ProcessHandle.of(child);
        if (handle.isPresent()) handle.get().onExit().get(LONG, TimeUnit.SECONDS);
        assertFalse(ProcessHandle.of(child).map(ProcessHandle::isAlive).orElse(false));
    }

    /** Starts a server that listens, then dies without a word. */
    static final class KilledParent {
        private KilledParent() {}

        public static void main(String[] args) throws Exception {
            Path folder = Path.of(args[0]);
            @SuppressWarnings("resource") // dying with it open is the point
            Children children = new Children();
            Children.Child child = children.start("orphan", "64m", folder, List.of("server", "--json", "--kit",
                    folder.resolve("kits/server").toString(), "--data", folder.resolve("data").toString(), "--bind",
                    "127.0.0.1", "--port", "0"));
            while (!Files.readString(child.out()).contains("listening"))
                Thread.sleep(50);
            System.out.println("child " + child.process().pid());
            System.out.flush();
            Runtime.getRuntime().halt(9);
        }
    }
}
