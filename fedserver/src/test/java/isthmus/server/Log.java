package isthmus.server;

import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.AppenderBase;
import java.util.ArrayList;
import java.util.List;
import org.slf4j.LoggerFactory;

/** What the code under test logs while this is open. */
final class Log extends AppenderBase<ILoggingEvent> implements AutoCloseable {
    private final List<String> lines = new ArrayList<>();
    private final Logger logger = (Logger) LoggerFactory.getLogger("isthmus.server");

    Log() {
        start();
        logger.addAppender(this);
    }

    @Override
    protected void append(ILoggingEvent event) {
        synchronized (lines) {
            lines.add(event.getLevel() + " " + event.getFormattedMessage());
            lines.notifyAll();
        }
    }

    /** Waits for a line with all these parts; the test's own timeout bounds it. */
    String await(String... parts) throws InterruptedException {
        synchronized (lines) {
            while (true) {
                for (String line : lines)
                    if (List.of(parts).stream().allMatch(line::contains))
                        return line;
                lines.wait();
            }
        }
    }

    @Override
    public void close() { logger.detachAppender(this); }
}
