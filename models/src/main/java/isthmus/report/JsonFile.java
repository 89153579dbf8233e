package isthmus.report;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import tools.jackson.databind.PropertyNamingStrategies;
import tools.jackson.databind.json.JsonMapper;

/** Results as JSON for machines: records with snake_case keys, whole files or none. */
public final class JsonFile {
    private static final JsonMapper MAPPER = JsonMapper.builder()
            .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE).build();

    private JsonFile() {}

    /** Indented JSON with a final newline. */
    public static String text(Object value) {
        return MAPPER.writerWithDefaultPrettyPrinter().writeValueAsString(value) + "\n";
    }

    /** One line of JSON, for streams of events. */
    public static String line(Object value) {
        return MAPPER.writeValueAsString(value);
    }

    /** Writes a file in one step, and its missing folders. */
    public static void write(Path file, Object value) throws IOException {
        Path target = file.toAbsolutePath();
        Files.createDirectories(target.getParent());
        Path fresh = Files.createTempFile(target.getParent(), target.getFileName().toString(), ".part");
        try {
            Files.write(fresh, text(value).getBytes(StandardCharsets.UTF_8));
            Files.move(fresh, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } finally {
            Files.deleteIfExists(fresh);
        }
    }
}
