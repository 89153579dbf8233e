package isthmus.provision;

import isthmus.wire.Json;
import isthmus.wire.Names;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Who takes part: the description that kits are made from, and the project file {@code project.json}.
 *
 * @param name the project
 * @param hosts names and addresses under which sites reach the server, the first one is written into the kits
 * @param port the server's TCP port
 * @param sites names of the sites
 * @param admins names of the administrators
 * @param validDays how long certificates are valid; default 365
 */
public record Project(String name, List<String> hosts, Integer port, List<String> sites, List<String> admins,
        Integer validDays) {
    public Project {
        Names.check("project", name);
        if (hosts == null || hosts.isEmpty() || hosts.stream().anyMatch(h -> h == null || h.isBlank()))
            throw new IllegalArgumentException(
                    "hosts is empty; name at least one host under which sites reach the server");
        if (port == null)
            throw new IllegalArgumentException("port is missing; name the server's TCP port");
        if (port < 1 || port > 65_535)
            throw new IllegalArgumentException("port is " + port + "; it must be from 1 to 65535");
        validDays = validDays == null ? Integer.valueOf(365) : validDays;
        if (validDays < 1 || validDays > 3650)
            throw new IllegalArgumentException("valid_days is " + validDays + "; it must be from 1 to 3650");
        hosts = List.copyOf(hosts);
        sites = sites == null ? List.of() : List.copyOf(sites);
        admins = admins == null || admins.isEmpty() ? List.of("admin") : List.copyOf(admins);
        distinct("site", sites);
        distinct("administrator", admins);
    }

    private static void distinct(String kind, List<String> names) {
        Set<String> seen = new HashSet<>();
        for (String name : names)
            if (!seen.add(Names.check(kind, name)))
                throw new IllegalArgumentException(kind + " " + name + " is named twice");
    }

    /** Reads a project file; unknown keys are errors. */
    public static Project read(Path file) throws IOException {
        return Json.read(file, Project.class);
    }

    /** The same project with one more site. */
    public Project withSite(String site) {
        var more = new java.util.ArrayList<>(sites);
        more.add(site);
        return new Project(name, hosts, port, more, admins, validDays);
    }
}
