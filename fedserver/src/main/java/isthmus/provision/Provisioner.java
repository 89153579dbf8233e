package isthmus.provision;

import isthmus.wire.Connection;
import isthmus.wire.Json;
import isthmus.wire.Kit;
import isthmus.wire.OwnerOnly;
import isthmus.wire.Role;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;

/**
 * Makes the kits of a project in a folder:
 *
 * <pre>
 * project.json              who takes part
 * ca/                       the CA's key: keep it off the network, it is needed only to add participants
 * server/                   the server's kit
 * sites/NAME/, admins/NAME/ one kit each: key.pem, cert.pem, ca.pem, connection.json
 * </pre>
 *
 * Existing keys are never overwritten: running again makes what is missing and leaves the rest untouched, so a site is
 * added by naming it. Folders have mode 0700, files 0600 from the moment they exist.
 */
public final class Provisioner {
    /** The project file. */
    public static final String PROJECT = "project.json";

    /**
     * What was done.
     *
     * @param made kits that are new
     * @param kept kits that were there before and are untouched
     */
    public record Result(List<Path> made, List<Path> kept) {}

    private final Path folder;
    private final List<Path> made = new ArrayList<>();
    private final List<Path> kept = new ArrayList<>();

    private Provisioner(Path folder) { this.folder = folder; }

    /**
     * Makes all kits of a project that the folder lacks.
     *
     * @throws IOException naming path and cure; what was made before it stays, and a further run goes on from there
     */
    public static Result provision(Project project, Path folder) throws IOException {
        return new Provisioner(folder.toAbsolutePath().normalize()).run(project);
    }

    private Result run(Project project) throws IOException {
        try {
            OwnerOnly.folder(folder);
        } catch (FileAlreadyExistsException e) {
            throw new IOException(folder + " is a file; name a folder for the kits", e);
        }
        remember(project);
        Authority authority = Authority.openOrCreate(folder.resolve("ca"), project.name());
        kit(authority, project, server(folder), "server", Role.SERVER);
        for (String site : project.sites())
            kit(authority, project, site(folder, site), site, Role.SITE);
        for (String admin : project.admins())
            kit(authority, project, admin(folder, admin), admin, Role.ADMIN);
        return new Result(List.copyOf(made), List.copyOf(kept));
    }

    /** The server's kit in a project's folder. */
    public static Path server(Path folder) {
        return folder.resolve("server");
    }

    /** A site's kit in a project's folder. */
    public static Path site(Path folder, String site) {
        return folder.resolve("sites").resolve(site);
    }

    /** An administrator's kit in a project's folder. */
    public static Path admin(Path folder, String admin) {
        return folder.resolve("admins").resolve(admin);
    }

    private void remember(Project project) throws IOException {
        Path file = folder.resolve(PROJECT);
        if (Files.exists(file)) {
            Project before = Project.read(file);
            if (!before.name().equals(project.name()))
                throw new IOException(file + " belongs to project " + before.name() + ", not " + project.name()
                        + "; choose another folder");
            if (before.equals(project))
                return;
        }
        OwnerOnly.replace(file, Json.pretty(project));
    }

    /** A kit is complete once its key is there: the key is written last. */
    private void kit(Authority authority, Project project, Path kit, String name, Role role) throws IOException {
        Path key = kit.resolve(Kit.KEY);
        if (Files.exists(key)) {
            kept.add(kit);
            return;
        }
        Instant now = Instant.now().truncatedTo(ChronoUnit.SECONDS);
        Authority.Issued issued = authority.issue(project.name(), name, role, project.hosts(),
                now.minus(1, ChronoUnit.HOURS), now.plus(project.validDays(), ChronoUnit.DAYS));
        write(kit, issued, authority.certificatePem(),
                new Connection(project.name(), name, role.text(), project.hosts().getFirst(), project.port()));
        made.add(kit);
    }

    /** Writes a kit's files; whatever a broken run left there has no key, and is replaced. */
    static void write(Path kit, Authority.Issued issued, String ca, Connection connection) throws IOException {
        OwnerOnly.folder(kit);
        OwnerOnly.replace(kit.resolve(Kit.CA), Authority.ascii(ca));
        OwnerOnly.replace(kit.resolve(Kit.CONNECTION), Json.pretty(connection));
        OwnerOnly.replace(kit.resolve(Kit.CERTIFICATE), Authority.ascii(issued.chain()));
        OwnerOnly.create(kit.resolve(Kit.KEY), Authority.ascii(issued.key()));
    }
}
