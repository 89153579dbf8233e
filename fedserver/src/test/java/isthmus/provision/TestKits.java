package isthmus.provision;

import isthmus.wire.Connection;
import isthmus.wire.Role;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;

/** Kits that a server must refuse. */
public final class TestKits {
    private TestKits() {}

    /** A site's kit of the right CA that expired yesterday. */
    public static Path expired(Path kits, Path folder, String site, int port) throws IOException {
        Authority ca = Authority.openOrCreate(kits.resolve("ca"), "test");
        Instant now = Instant.now();
        Provisioner.write(folder, ca.issue("test", site, Role.SITE, List.of(), now.minus(9, ChronoUnit.DAYS),
                now.minus(1, ChronoUnit.DAYS)), ca.certificatePem(),
                new Connection("test", site, "site", "localhost", port));
        return folder;
    }

    /** A kit with the same names from a CA of the same name that is not ours; it trusts our server all the same. */
    public static Path foreign(Path kits, Path folder, String site, int port) throws IOException {
        Authority ours = Authority.openOrCreate(kits.resolve("ca"), "test");
        Authority theirs = Authority.create("test");
        Instant now = Instant.now();
        Provisioner.write(folder, theirs.issue("test", site, Role.SITE, List.of(), now.minus(1, ChronoUnit.DAYS),
                now.plus(9, ChronoUnit.DAYS)), ours.certificatePem(),
                new Connection("test", site, "site", "localhost", port));
        return folder;
    }
}
