package isthmus.wire;

/**
 * Where a kit's owner finds the server; the file {@code connection.json} of a kit.
 *
 * @param project name of the project
 * @param name the kit owner's name, as in its certificate
 * @param role the kit owner's role, as in its certificate
 * @param host server's host name
 * @param port server's TCP port
 */
public record Connection(String project, String name, String role, String host, int port) {
    public Connection {
        Names.check("project", project);
        Names.check("participant", name);
        if (Role.of(role) == null)
            throw new IllegalArgumentException("role is \"" + role + "\"; it must be server, site or admin");
        if (host == null || host.isBlank())
            throw new IllegalArgumentException("host is missing");
        Checks.range("port", port, 0, 65_535);
    }
}
