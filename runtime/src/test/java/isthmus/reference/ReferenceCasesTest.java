package isthmus.reference;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import isthmus.backend.Backend;
import isthmus.backend.BackendProvider;
import isthmus.backend.Backends;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.DynamicNode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.TestInstance;
import org.opentest4j.TestAbortedException;

/**
 * What PyTorch computes, as small cases: a folder of them by the system property {@code reference.dir}, or the copy in the
 * test resources; {@code reference.only} is a regular expression that the chosen ones' names match. Prints a line a case.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class ReferenceCasesTest {
    private final List<Outcome> outcomes = new ArrayList<>();
    private final String device = device();
    private final Backend backend = Backends.open(device, Math.min(2, Runtime.getRuntime().availableProcessors()));

    /** The system property {@code isthmus.device}, or the CPU. */
    private static String device() {
        String given = System.getProperty("isthmus.device", "");
        String name = given.isBlank() || given.startsWith("${") ? "cpu" : given;
        // The emulation is built where there is a C++ compiler.
        Optional<String> problem = Backends.all().stream().filter(p -> p.name().equals("cuda-emulated")).findFirst()
                .flatMap(BackendProvider::problem);
        if (!name.equals("cuda-emulated") || problem.isEmpty()) return name;
        System.out.println("reference cases: not run on " + name + ": " + problem.get());
        throw new TestAbortedException(problem.get());
    }

    private static Path folder() {
        String dir = System.getProperty("reference.dir", "");
        boolean given = !dir.isBlank() && !dir.startsWith("${");
        return given ? Path.of(dir) : Path.of("src", "test", "resources", "reference");
    }

    private static String only() {
        String given = System.getProperty("reference.only", "");
        return given.isBlank() || given.startsWith("${") ? ".*" : "(" + given + ")";
    }

    @TestFactory
    Stream<DynamicNode> everyCase() throws IOException {
        List<Path> files = ReferenceMain.files(folder()).stream()
                .filter(f -> f.getFileName().toString().matches(only() + "\\.json")).toList();
        assertTrue(!files.isEmpty(), "no reference cases in " + folder().toAbsolutePath());
        return files.stream().map(f -> dynamicTest(f.getFileName().toString(), () -> run(Case.read(f))));
    }

    private void run(Case c) {
        List<Outcome> results = ReferenceMain.run(c, backend);
        for (Outcome o : results) {
            outcomes.add(o);
            System.out.println(o);
        }
        for (Outcome o : results)
            assertTrue(o.isSkipped() || o.passed(), () -> c.name() + " " + o.precision + ": " + o.failures());
    }

    @AfterAll
    void count() {
        backend.close();
        long skipped = outcomes.stream().filter(Outcome::isSkipped).count();
        long passed = outcomes.stream().filter(Outcome::passed).count();
        System.out.printf("reference cases: %d passed, %d failed, %d skipped, from %s%n", passed,
                outcomes.size() - passed - skipped, skipped,
                folder());
        assertTrue(passed > 0, "no reference case ran");
    }

    /** The formula itself, against known answers. */
    @Test
    void formula() {
        Case known = Case.read(Path.of("src", "test", "resources", "reference", "fill.json"));
        Fill fill = new Fill("");
        for (tools.jackson.databind.JsonNode c : known.json().get("cases")) {
            String name = c.get("name").asString();
            assertEquals(c.get("hash").asString(), Long.toHexString(fill.hash(name)));
            float[] v = fill.values(name, isthmus.tensor.Shape.of(8), c.get("scale").floatValue());
            for (int i = 0; i < 8; i++)
                assertEquals(c.get("first8").get(i).asDouble(), v[i], 0);
        }
    }

    /** The case names of one folder are those of its files, so that a skipped one can be named. */
    @Test
    void namesAreThoseOfFiles() throws IOException {
        for (Path f : ReferenceMain.files(Path.of("src", "test", "resources", "reference")))
            assertEquals(f.getFileName().toString(), Case.read(f).name() + ".json");
    }
}
