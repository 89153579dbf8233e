package isthmus.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

/** Bars by a clock of the test's own. */
class ProgressBarTest {
    private final AtomicLong now = new AtomicLong();
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

    private ProgressBar bar(boolean live) {
        return new ProgressBar(new PrintStream(bytes, true, StandardCharsets.UTF_8), live, "reading", "images", 100,
                now::get);
    }

    private String text() { return bytes.toString(StandardCharsets.UTF_8); }

    @Test
    void aTerminalSeesRateAndTimeLeft() {
        try (ProgressBar bar = bar(true)) {
            now.set(2_000_000_000L);
            bar.update(20);
            assertTrue(text().endsWith("reading [####--------------------] 20/100 images, 10/s, 8.0 s left"), text());
            now.set(10_000_000_000L);
            bar.update(100);
        }
        assertTrue(text().endsWith("100/100 images, 10/s, 10.0 s\n"), text());
    }

    @Test
    void aFileSeesFewPlainLines() {
        try (ProgressBar bar = bar(false)) {
            for (int i = 1; i <= 100; i++) {
                now.set(i * 200_000_000L);
                bar.update(i);
            }
        }
        assertEquals("""
                reading 50/100 images, 5/s, 10.0 s left
                reading 100/100 images, 5/s, 0.0 s left
                reading 100/100 images, 5/s, 20.0 s
                """, text());
    }

    @Test
    void amountsReadAsPeopleSayThem() {
        assertEquals("676 kB", Meter.bytes(676_000));
        assertEquals("999 B", Meter.bytes(999));
        assertEquals("1.00 MB", Meter.bytes(999_700));
        assertEquals("1.23 MB", Meter.bytes(1_230_000));
        assertEquals("3:07", Meter.time(java.time.Duration.ofSeconds(187)));
        assertEquals("1:03:07", Meter.time(java.time.Duration.ofSeconds(3787)));
    }
}
