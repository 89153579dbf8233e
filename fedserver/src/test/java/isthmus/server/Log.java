package isthmus.server;

import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.AppenderBase;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.slf4j.LoggerFactory;

/** What the code under test logs while this is open. */
final class Log extends AppenderBase<ILoggingEvent> implements AutoCloseable {
    private final List<String> lines = new CopyOnWriteArrayList<>();
    private final Logger logger = (Logger) LoggerFactory.getLogger("isthmus.server");

    Log() {
        start();
        logger.addAppender(this);
    }

    @Override
    protected void append(ILoggingEvent event) { lines.add(event.getLevel() + " " + event.getFormattedMessage()); }

    /** Waits for a line with all these parts; the test's own timeout bounds it. */
    String await(String... parts) throws InterruptedException {
        while (true) {
            for (String line : lines)
                if (List.of(parts).stream().allMatch(line::contains))
                    return line;
            Thread.sleep(10);
        }
    }

    @Override
    public void close() { logger.detachAppender(this); }
}
