package isthmus.cli;

import isthmus.admin.AdminClient;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import picocli.CommandLine.Option;

/** How an administrator reaches the server. */
final class AdminOptions {
    @Option(names = "--kit", required = true, paramLabel = "DIR", description = "An administrator's kit, from isthmus provision.")
    private Path kit;

    @Option(names = "--server", paramLabel = "HOST:PORT", description = "Where the server is, if not where the kit says.")
    private String server;

    @Option(names = "--patience", defaultValue = "20", paramLabel = "SECONDS", description = "How long to try again when the server cannot be reached. Default: ${DEFAULT-VALUE}.")
    private long patience;

    AdminClient open() throws IOException {
        Duration limit = Duration.ofSeconds(patience);
        if (server == null) return AdminClient.open(kit, limit);
        Address address = Address.parse(server);
        return AdminClient.open(kit, address.host(), address.port(), limit);
    }
}
