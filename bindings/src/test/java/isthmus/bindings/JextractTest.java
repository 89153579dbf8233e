package isthmus.bindings;

import static org.junit.jupiter.api.Assertions.assertEquals;

import isthmus.bindings.onednn.OneDnn;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;

/** Compares our table with what jextract made of oneDNN's headers; see the profile {@code jextract}. */
@EnabledIfSystemProperty(named = "jextract.output", matches = ".+")
class JextractTest {
    /** A holder class of the function's name, and in it its descriptor. */
    private static final Pattern FUNCTION = Pattern.compile(
            "class (\\w+) \\{\\s+public static final FunctionDescriptor DESC = FunctionDescriptor\\.(of|ofVoid)\\(([^;]*)\\);");
    private static final Map<String, String> LETTERS = Map.of("C_INT", "i", "C_LONG", "l", "C_LONG_LONG", "l",
            "C_FLOAT",
            "f", "C_DOUBLE", "d", "C_POINTER", "p");

    @Test
    void agrees() throws IOException {
        Map<String, String> theirs = new TreeMap<>();
        try (Stream<Path> files = Files.walk(Path.of(System.getProperty("jextract.output")))) {
            for (Path file : files.filter(f -> f.toString().endsWith(".java")).toList())
                read(Files.readString(file), theirs);
        }
        Map<String, String> ours = new TreeMap<>(OneDnn.signatures());
        theirs.keySet().retainAll(ours.keySet());
        assertEquals(ours, theirs);
    }

    private static void read(String source, Map<String, String> into) {
        var functions = FUNCTION.matcher(source);
        while (functions.find()) {
            var letters = new StringBuilder("ofVoid".equals(functions.group(2)) ? "v" : "");
            for (String type : functions.group(3).split(",", -1))
                if (!type.isBlank()) letters.append(LETTERS.getOrDefault(type.strip().replaceAll(".*\\.", ""), "?"));
            into.put(functions.group(1), letters.toString());
        }
    }
}
