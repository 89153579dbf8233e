package isthmus.server;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A child JVM with this test's class path. */
final class Processes implements AutoCloseable {
    private final Process process;
    private final BufferedReader out;

    private Processes(Process process) {
        this.process = process;
        this.out = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
    }

    /** Starts a main class and waits for a line that begins with a word; its other lines are passed on. */
    static Processes start(Class<?> main, String untilWord, String... arguments) throws IOException {
        List<String> command = new ArrayList<>(
                List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "--enable-native-access=ALL-UNNAMED", "-Xmx256m", "-cp", System.getProperty("java.class.path"),
                        main.getName()));
        command.addAll(List.of(arguments));
        Processes child = new Processes(new ProcessBuilder(command).redirectErrorStream(true).start());
        child.await(untilWord);
        return child;
    }

    private void await(String word) throws IOException {
        StringBuilder said = new StringBuilder();
        for (String line = out.readLine(); line != null; line = out.readLine()) {
            said.append(line).append('\n');
            if (line.startsWith(word)) {
                System.out.println(line);
                Thread.ofVirtual().start(this::drain);
                return;
            }
        }
        throw new IOException("the child process ended without " + word + ":\n" + said);
    }

    private void drain() {
        try {
            for (String line = out.readLine(); line != null; line = out.readLine())
                System.out.println("  child: " + line);
        } catch (IOException e) {
            System.out.println("  child: ended");
        }
    }

    /** As kill -9. */
    void kill() throws InterruptedException { process.destroyForcibly().waitFor(); }

    @Override
    public void close() { process.destroyForcibly(); }
}
