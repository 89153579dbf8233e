package isthmus.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.wire.RoundRecord;
import isthmus.wire.Task;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class JournalTest {
    private static final List<Event> EVENTS = List.of(
            new Event.Started(new Task.Weights(0, 1000, "ab".repeat(32), "cd".repeat(32))),
            new Event.Joined("a"),
            new Event.Accepted(1, "a", 10, 400, "ef".repeat(32), 65_536, 1.5, Map.of("loss", 0.25)),
            new Event.Withdrawn(1, "a", "damaged on disk"),
            new Event.Folded(1, new Task.Weights(1, 1000, "12".repeat(32), "cd".repeat(32)), "34".repeat(32)),
            new Event.Reported(1, "a", 5, Map.of("auroc", 0.75)),
            new Event.Closed(new RoundRecord(1, 0.75, true, 2.5, List.of(
                    new RoundRecord.Site("a", 10, 400, 1.5, Map.of("loss", 0.25), 5, Map.of("auroc", 0.75))))),
            new Event.Ended("done", ""));

    @TempDir
    Path folder;

    private Path written() throws IOException {
        Path file = folder.resolve("journal.log");
        try (Journal journal = Journal.open(file, e -> {})) {
            EVENTS.forEach(journal::append);
        }
        return file;
    }

    private static List<Event> read(Path file) throws IOException {
        List<Event> events = new ArrayList<>();
        Journal.open(file, events::add).close();
        return events;
    }

    @Test
    void everyEventComesBackAsItWas() throws IOException { assertEquals(EVENTS, read(written())); }

    @Test
    void whereverACrashCutsTheFileTheWholeLinesBeforeItCount() throws IOException {
        byte[] whole = Files.readAllBytes(written());
        Path cut = folder.resolve("cut.log");
        for (int length = 0; length <= whole.length; length += length % 5 == 0 ? 1 : 4) {
            byte[] left = Arrays.copyOf(whole, length);
            Files.write(cut, left);
            int lines = (int) new String(left, StandardCharsets.UTF_8).chars().filter(c -> c == '\n').count();
            assertEquals(EVENTS.subList(0, lines), read(cut), "cut after " + length + " bytes");
            try (Journal journal = Journal.open(cut, e -> {})) {
                journal.append(EVENTS.getLast());
            }
            assertEquals(lines + 1, read(cut).size(), "and one can write on");
        }
    }

    @Test
    void aChangedLineInTheMiddleIsAnErrorThatNamesIt() throws IOException {
        Path file = written();
        byte[] bytes = Files.readAllBytes(file);
        int second = new String(bytes, StandardCharsets.UTF_8).indexOf("\"samples\":10");
        bytes[second + 10] = '9';
        Files.write(file, bytes);
        String text = assertThrows(IOException.class, () -> read(file)).getMessage();
        assertTrue(text.contains("journal.log, line 3: its checksum is wrong though lines follow it"), text);
    }
}
