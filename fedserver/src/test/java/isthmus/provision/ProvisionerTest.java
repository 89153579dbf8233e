package isthmus.provision;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.wire.Kit;
import isthmus.wire.Peer;
import isthmus.wire.RefusalException;
import isthmus.wire.Role;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ProvisionerTest {
    private static final Project PROJECT = new Project("chest", List.of("fl.example.org", "10.0.0.7"), 8443,
            List.of("north", "south"), List.of("admin"), 90);

    @TempDir
    Path folder;

    @Test
    void makesAKitForEveryoneThatOnlyItsOwnerCanOpen() throws IOException {
        Provisioner.Result result = Provisioner.provision(PROJECT, folder.resolve("p"));
        assertEquals(4, result.made().size());
        assertEquals(0, result.kept().size());
        int files = 0;
        try (var all = Files.walk(folder.resolve("p"))) {
            for (Path path : all.toList()) {
                String mode = PosixFilePermissions.toString(Files.getPosixFilePermissions(path));
                assertEquals(Files.isDirectory(path) ? "rwx------" : "rw-------", mode, path.toString());
                files += Files.isDirectory(path) ? 0 : 1;
            }
        }
        assertEquals(4 * 4 + 2 + 1, files, "four files a kit, two of the CA, the project file");
    }

    @Test
    void certificatesCarryNameRoleHostsAndValidity() throws Exception {
        Path made = folder.resolve("p");
        Provisioner.provision(PROJECT, made);
        X509Certificate server = Kit.open(Provisioner.server(made), Role.SERVER).certificate();
        X509Certificate site = Kit.open(Provisioner.site(made, "south"), Role.SITE).certificate();
        X509Certificate admin = Kit.open(Provisioner.admin(made, "admin"), Role.ADMIN).certificate();
        assertEquals(new Peer("server", "chest", Role.SERVER), Peer.of(server));
        assertEquals(new Peer("south", "chest", Role.SITE), Peer.of(site));
        assertEquals(new Peer("admin", "chest", Role.ADMIN), Peer.of(admin));
        List<String> names = server.getSubjectAlternativeNames().stream().map(n -> n.get(1).toString()).sorted()
                .toList();
        assertEquals(List.of("10.0.0.7", "127.0.0.1", "fl.example.org", "localhost"), names);
        assertEquals(List.of("1.3.6.1.5.5.7.3.1"), server.getExtendedKeyUsage(), "server authentication only");
        assertEquals(List.of("1.3.6.1.5.5.7.3.2"), site.getExtendedKeyUsage(), "client authentication only");
        Duration valid = Duration.between(site.getNotBefore().toInstant(), site.getNotAfter().toInstant());
        assertEquals(Duration.ofDays(90).plusHours(1), valid);
        assertEquals("fl.example.org", Kit.open(Provisioner.site(made, "south"), Role.SITE).connection().host());
    }

    @Test
    void addingASiteLeavesEveryoneElseUntouched() throws IOException {
        Path made = folder.resolve("p");
        Provisioner.provision(PROJECT, made);
        Map<String, byte[]> before = contents(made);
        Provisioner.Result again = Provisioner.provision(PROJECT.withSite("west"), made);
        assertEquals(List.of(Provisioner.site(made.toAbsolutePath(), "west")), again.made());
        assertEquals(4, again.kept().size());
        Map<String, byte[]> after = contents(made);
        assertEquals(before.size() + 4, after.size());
        before.forEach((name, bytes) -> {
            if (!name.equals(Provisioner.PROJECT))
                assertArrayEquals(bytes, after.get(name), name);
        });
        assertEquals(List.of("north", "south", "west"), Project.read(made.resolve(Provisioner.PROJECT)).sites());
    }

    @Test
    void goesOnWhereABrokenRunStopped() throws IOException {
        Path made = folder.resolve("p");
        Provisioner.provision(PROJECT, made);
        Path kit = Provisioner.site(made, "north");
        Files.delete(kit.resolve(Kit.KEY));
        Provisioner.Result again = Provisioner.provision(PROJECT, made);
        assertEquals(1, again.made().size());
        Kit.open(kit, Role.SITE).sslContext();
    }

    @Test
    void refusesAnotherProjectInTheSameFolder() throws IOException {
        Path made = folder.resolve("p");
        Provisioner.provision(PROJECT, made);
        Project other = new Project("heart", List.of("localhost"), 8443, List.of("north"), List.of(), null);
        String text = assertThrows(IOException.class, () -> Provisioner.provision(other, made)).getMessage();
        assertTrue(text.contains("belongs to project chest, not heart; choose another folder"), text);
    }

    @Test
    void aLostCaKeyIsAnErrorAndNotAReasonForANewOne() throws IOException {
        Path made = folder.resolve("p");
        Provisioner.provision(PROJECT, made);
        Files.delete(made.resolve("ca/ca.key.pem"));
        String text = assertThrows(IOException.class, () -> Provisioner.provision(PROJECT, made)).getMessage();
        assertTrue(text.contains("ca.key.pem is missing") && text.contains("bring it back from a copy"), text);
    }

    @Test
    void aKeyThatOthersCanReadIsNotUsed() throws IOException {
        Path made = folder.resolve("p");
        Provisioner.provision(PROJECT, made);
        Path key = Provisioner.site(made, "north").resolve(Kit.KEY);
        Files.setPosixFilePermissions(key, java.util.EnumSet.of(PosixFilePermission.OWNER_READ,
                PosixFilePermission.GROUP_READ));
        String text = assertThrows(IOException.class, () -> Kit.open(key.getParent(), Role.SITE)).getMessage();
        assertTrue(text.contains("can be opened by others") && text.contains("chmod 600"), text);
    }

    @Test
    void aKitOfAnotherRoleIsNamed() throws IOException {
        Path made = folder.resolve("p");
        Provisioner.provision(PROJECT, made);
        String text = assertThrows(IOException.class, () -> Kit.open(Provisioner.site(made, "north"), Role.ADMIN))
                .getMessage();
        assertTrue(text.contains("is a kit of role site; here one of role admin is needed"), text);
    }

    @Test
    void aMisspeltKeyInTheProjectFileIsNamedWithItsLine() throws IOException {
        Path file = folder.resolve("project.json");
        Files.writeString(file, "{\"name\": \"a\",\n \"host\": [\"localhost\"],\n \"port\": 1}");
        String text = assertThrows(RefusalException.class, () -> Project.read(file)).getMessage();
        assertTrue(text.contains("unknown key \"host\"") && text.contains("line 2")
                && text.contains("did you mean \"hosts\"?"), text);
    }

    @Test
    void namesThatCouldLeaveTheFolderAreRefused() {
        for (String bad : new String[]{"../x", "a/b", "", ".hidden", "a b", "x".repeat(64)})
            assertThrows(IllegalArgumentException.class, () -> PROJECT.withSite(bad), bad);
        assertThrows(IllegalArgumentException.class, () -> PROJECT.withSite("north"));
    }

    private static Map<String, byte[]> contents(Path folder) throws IOException {
        Map<String, byte[]> contents = new TreeMap<>();
        try (var all = Files.walk(folder)) {
            for (Path file : all.filter(Files::isRegularFile).toList())
                contents.put(folder.relativize(file).toString(), Files.readAllBytes(file));
        }
        return contents;
    }
}
