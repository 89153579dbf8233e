package isthmus.server;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.client.ClientConfig;
import isthmus.client.ClientEvents;
import isthmus.client.FederationClient;
import isthmus.provision.Provisioner;
import isthmus.provision.TestKits;
import isthmus.wire.Kit;
import isthmus.wire.Link;
import isthmus.wire.RefusalException;
import isthmus.wire.Role;
import isthmus.wire.Sha256;
import isthmus.wire.UpdateHeader;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/**
 * Everything a broken or hostile participant may send: each gets a refusal with what, where and cure, is logged with site
 * and job, and the job ends with the bits of a job that saw none of it.
 */
@Timeout(120)
class AttackTest {
    @TempDir
    static Path shared;
    private static byte[] undisturbed;

    @TempDir
    Path folder;
    private TestFederation federation;
    private Log log;
    private String job;
    private RawUpdate update;

    @BeforeAll
    static void undisturbed() throws Exception {
        try (TestFederation federation = new TestFederation(shared).start()) {
            undisturbed = federation.undisturbed(2);
        }
    }

    @AfterAll
    static void forget() { undisturbed = null; }

    private interface Attack {
        void run() throws Exception;
    }

    /** Opens a job, attacks it in round 1, then lets the three sites do their work and compares the bits. */
    private void during(Attack attack) throws Exception {
        try (TestFederation opened = new TestFederation(folder).start(); Log logged = new Log()) {
            federation = opened;
            log = logged;
            job = opened.submit(TestFederation.job(2, 3, ""));
            update = new RawUpdate(opened, "gamma", 3, 300, job);
            attack.run();
            TestFederation.awaitDone(opened.everySite());
            assertArrayEquals(undisturbed, Files.readAllBytes(opened.modelFile(job, "last")), "bits of the result");
        }
    }

    private void refused(String error, Executable call, String... text) throws InterruptedException {
        RefusalException e = assertThrows(RefusalException.class, call);
        assertEquals(error, e.refusal().error(), e.getMessage());
        for (String part : text)
            assertTrue(e.getMessage().contains(part), e.getMessage());
        log.await("WARN refused", "gamma", job, error);
    }

    private SslKit kit(String site) throws IOException {
        return new SslKit(Kit.open(federation.siteKit(site), Role.SITE));
    }

    private record SslKit(Kit kit) {
        String exchange(int port, String request, boolean hangUp) throws IOException {
            return RawTls.exchange(kit.sslContext(), port, request, hangUp);
        }
    }

    private String put(int chunk, long length, String body) {
        return "PUT " + update.path(chunk) + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: "
                + length
                + "\r\n" + Link.CHUNK_DIGEST + ": " + Sha256.of(update.slice(chunk)) + "\r\n\r\n" + body;
    }

    private String post(String path, String length, String body) {
        return "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + length + "\r\n" + body;
    }

    // ---- updates ----

    @Test
    void aBodyThatIsCutOffLeavesItsChunkMissing() throws Exception {
        during(() -> {
            update.begin();
            kit("gamma").exchange(federation.port, put(0, 65_536, "only this"), true);
            log.await("refused site gamma", job, "truncated", "the body was cut off");
            assertEquals(0, update.begin().missing().getFirst().from());
        });
    }

    @Test
    void aChunkOfTheWrongLengthIsRefused() throws Exception {
        during(() -> {
            update.begin();
            refused("bad_length", () -> update.link.putChunk(update.path(0), update.slice(0).asSlice(0, 100),
                    Sha256.of(update.slice(0))), "this chunk has 65536 bytes, the request says 100",
                    "site gamma, chunk 0");
        });
    }

    @Test
    void aChunkThatClaimsTenTerabytesIsRefusedUnread() throws Exception {
        during(() -> {
            update.begin();
            String answer = kit("gamma").exchange(federation.port, put(0, 10_995_116_277_760L, ""), false);
            assertTrue(answer.startsWith("HTTP/1.1 400") && answer.contains("the request says 10995116277760"), answer);
            log.await("refused site gamma", job, "bad_length");
        });
    }

    @Test
    void aHeaderThatClaimsTenTerabytesIsRefusedBeforeAnythingIsReserved() throws Exception {
        during(() -> {
            UpdateHeader h = update.header;
            update.header = new UpdateHeader(1, h.table(), 10_995_116_277_760L, h.sha256(), 16 << 20, 300, Map.of());
            refused("bad_size", update::begin,
                    "the header claims 10995116277760 bytes; an update of this job has 160312");
            assertTrue(
                    Files.notExists(federation.folder.resolve("home/jobs").resolve(job).resolve("slots/gamma.slot")));
        });
    }

    @Test
    void aChunkWithAWrongDigestDoesNotCount() throws Exception {
        during(() -> {
            update.begin();
            refused("chunk_digest_mismatch", () -> update.link.putChunk(update.path(1), update.slice(1),
                    Sha256.of(update.slice(0))), "the bytes have digest", "send the chunk anew");
            assertEquals(3, update.begin().missing().getFirst().to(), "all three are still missing");
        });
    }

    @Test
    void anUpdateWithAWrongDigestIsRefusedAndForgotten() throws Exception {
        during(() -> {
            UpdateHeader h = update.header;
            update.header = new UpdateHeader(1, h.table(), h.bytes(), "ab".repeat(32), h.chunkBytes(), 300, Map.of());
            refused("digest_mismatch", update::sendAll, "the update has digest", "its header says abab");
        });
    }

    @Test
    void notANumberIsRefused() throws Exception {
        during(() -> {
            update.bytes.setAtIndex(ValueLayout.JAVA_FLOAT, 30_000, Float.NaN);
            update.bytes.setAtIndex(ValueLayout.JAVA_FLOAT, 40_077, Float.NEGATIVE_INFINITY);
            update.announce(300);
            refused("not_finite", update::sendAll, "2 of 40078 values are NaN or infinite", "lower the learning rate");
        });
    }

    @Test
    void aHugeUpdateIsRefused() throws Exception {
        during(() -> {
            update.bytes.setAtIndex(ValueLayout.JAVA_FLOAT, 5, 3e30f);
            update.announce(300);
            refused("norm_too_large", update::sendAll, "L2 norm is 2.99", "the job takes at most 1000000.0");
        });
    }

    @Test
    void anotherModelsUpdateIsRefused() throws Exception {
        during(() -> {
            UpdateHeader h = update.header;
            update.header = new UpdateHeader(1, "cd".repeat(32), h.bytes(), h.sha256(), h.chunkBytes(), 300, Map.of());
            refused("wrong_table", update::begin, "made with weight table cdcd", "the site trains another model");
        });
    }

    @Test
    void anAbsurdSampleCountIsRefused() throws Exception {
        during(() -> {
            update.announce(1L << 50);
            refused("bad_samples", update::begin, "claims 1125899906842624 samples; the job takes at most 100000000");
        });
    }

    @Test
    void anUpdateForAnOldRoundIsRefused() throws Exception {
        try (TestFederation opened = new TestFederation(folder).start(); Log logged = new Log()) {
            federation = opened;
            log = logged;
            byte[] bits = opened.undisturbed(2);
            job = "test-1";
            update = new RawUpdate(opened, "gamma", 3, 300, job);
            refused("job_ended", update::begin, "the job is done");
            assertArrayEquals(undisturbed, bits);
            opened.submit(TestFederation.job(2, 1, ""));
            job = "test-2";
            update = new RawUpdate(opened, "gamma", 3, 300, job);
            assertTrue(update.sendAll().accepted());
            opened.await(job, s -> s.phase().equals("validate"));
            RawUpdate other = new RawUpdate(opened, "gamma", 2, 999, job);
            refused("already_accepted", other::begin, "another update of this site is accepted");
            RawUpdate late = new RawUpdate(opened, "beta", 2, 999, job);
            RefusalException closed = assertThrows(RefusalException.class, late::begin);
            assertTrue(closed.getMessage().contains("round 1 is closed, the job is at round 1 (validate)"),
                    closed.getMessage());
            update.link.post("/v1/jobs/" + job + "/reports", new isthmus.wire.Report(1, 5, Map.of("score", 0.5)),
                    Map.class);
            opened.await(job, s -> s.round() == 2);
            refused("old_round", other::begin, "round 1 is closed, the job is at round 2", "this work is not counted");
            assertTrue(update.begin().accepted(), "the one that counted is acknowledged even now");
        }
    }

    @Test
    void aRepeatedUpdateIsAcknowledgedAndCountsOnce() throws Exception {
        during(() -> {
            assertTrue(update.sendAll().accepted());
            assertTrue(update.begin().accepted());
            assertTrue(update.sendAll().accepted());
            assertTrue(update.commit().accepted());
            RawUpdate other = new RawUpdate(federation, "gamma", 2, 999, job);
            refused("already_accepted", other::begin, "another update of this site is accepted for this round");
            refused("already_accepted", () -> other.chunk(0), "nothing is left to send");
            Path journal = federation.folder.resolve("home/jobs").resolve(job).resolve("journal.log");
            assertEquals(1, Files.readAllLines(journal).stream().filter(l -> l.contains("\"accepted\"")).count());
        });
    }

    // ---- messages ----

    @Test
    void aSiteCannotClaimToBeAnother() throws Exception {
        during(() -> {
            String header = new String(isthmus.wire.Json.bytes(update.header), java.nio.charset.StandardCharsets.UTF_8);
            String claim = "{\"site\":\"alpha\"," + header.substring(1);
            String answer = kit("gamma").exchange(federation.port,
                    post("/v1/jobs/" + job + "/updates", "Content-Length: "
                            + claim.length() + "\r\n", claim),
                    false);
            assertTrue(answer.startsWith("HTTP/1.1 400") && answer.contains("unknown key \\\"site\\\""), answer);
            RawUpdate asGamma = update;
            assertTrue(asGamma.begin().missing().getFirst().from() == 0);
            RawUpdate betas = new RawUpdate(federation, "beta", 3, 300, job);
            RefusalException e = assertThrows(RefusalException.class, () -> betas.chunk(0));
            assertEquals("not_begun", e.refusal().error(), "gamma's upload is out of beta's reach");
            assertTrue(e.getMessage().contains("site beta"), e.getMessage());
        });
    }

    @Test
    void aSiteMayNotDoWhatAdministratorsDo() throws Exception {
        during(() -> refused("wrong_role", () -> update.link.post("/v1/jobs/" + job + "/abort", "", Map.class),
                "site gamma may not do this; it is for admin"));
    }

    @Test
    void anAdministratorMayNotSendUpdates() throws Exception {
        during(() -> {
            try (Link admin = new Link(Kit.open(Provisioner.admin(federation.kits, "admin"), Role.ADMIN))) {
                RefusalException e = assertThrows(RefusalException.class,
                        () -> admin.post("/v1/jobs/" + job + "/updates", update.header, Map.class));
                assertTrue(e.getMessage().contains("admin admin may not do this; it is for site"), e.getMessage());
            }
        });
    }

    @Test
    void longAndBrokenJsonIsRefused() throws Exception {
        during(() -> {
            String path = "/v1/jobs/" + job + "/updates";
            String answer = kit("gamma").exchange(federation.port,
                    post(path, "Content-Length: 10995116277760\r\n", "{"), false);
            assertTrue(answer.startsWith("HTTP/1.1 413") && answer.contains("longer than 1048576 bytes"), answer);
            answer = kit("gamma").exchange(federation.port, post(path, "Content-Length: 9\r\n", "{\"round\":"), false);
            assertTrue(answer.startsWith("HTTP/1.1 400") && answer.contains("bad_json"), answer);
            String deep = "[".repeat(5000);
            answer = kit("gamma").exchange(federation.port, post(path, "Content-Length: 5000\r\n", deep), false);
            assertTrue(answer.startsWith("HTTP/1.1 400") && answer.contains("bad_json"), answer);
        });
    }

    @Test
    void namesThatWouldLeaveTheFolderFindNothing() throws Exception {
        during(() -> {
            RefusalException e = assertThrows(RefusalException.class,
                    () -> update.link.get("/v1/jobs/..%2F..%2Fserver.lock/global/0", Map.class));
            assertEquals(404, e.status(), e.getMessage());
            refused("bad_name", () -> update.link.get("/v1/jobs/" + job + "/models/..%2Fjob/digest", Map.class),
                    "there is no model of that name");
        });
    }

    // ---- certificates ----

    @Test
    void withoutACertificateThereIsNoConnection() throws Exception {
        during(() -> {
            var nobody = RawTls.anonymous(federation.siteKit("gamma").resolve(Kit.CA));
            IOException e = assertThrows(IOException.class, () -> RawTls.exchange(nobody, federation.port,
                    "GET /v1/task HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", false));
            assertTrue(e.getMessage().contains("certificate_required") || e.getMessage().contains("bad_certificate"),
                    e.getMessage());
            log.await("WARN refused a connection", "Empty client certificate chain");
        });
    }

    @Test
    void anExpiredCertificateIsRefusedByBothSides() throws Exception {
        during(() -> {
            Path kit = TestKits.expired(federation.kits, folder.resolve("expired"), "gamma", federation.port);
            IOException own = assertThrows(IOException.class, () -> new FederationClient(
                    ClientConfig.of(kit, folder.resolve("w")), new SimulatedTrainer(3, 300), ClientEvents.SILENT));
            assertTrue(own.getMessage().contains("the certificate of gamma expired at"), own.getMessage());
            var context = Kit.open(kit, Role.SITE).sslContext();
            IOException theirs = assertThrows(IOException.class, () -> RawTls.exchange(context, federation.port,
                    "GET /v1/task HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", false));
            assertTrue(theirs.getMessage().contains("certificate_expired")
                    || theirs.getMessage().contains("certificate_unknown"), theirs.getMessage());
            log.await("WARN refused a connection", "NotAfter");
        });
    }

    @Test
    void aCertificateOfAForeignCaIsRefused() throws Exception {
        during(() -> {
            Path kit = TestKits.foreign(federation.kits, folder.resolve("foreign"), "gamma", federation.port);
            var config = ClientConfig.of(kit, folder.resolve("w"));
            try (var client = new FederationClient(config, new SimulatedTrainer(3, 300), ClientEvents.SILENT)) {
                RefusalException e = assertThrows(RefusalException.class, client::runJob);
                assertTrue(e.getMessage().contains("the server refused our certificate")
                        && e.getMessage().contains("use a kit of this project"), e.getMessage());
            }
            log.await("WARN refused a connection", "PKIX path");
        });
    }

    @Test
    void olderTlsIsRefused() throws Exception {
        during(() -> {
            var context = RawTls.anonymous(federation.siteKit("gamma").resolve(Kit.CA));
            IOException e = assertThrows(IOException.class, () -> RawTls.exchange(context, federation.port,
                    "GET /v1/task HTTP/1.1\r\nHost: localhost\r\n\r\n", false, "TLSv1.2"));
            assertTrue(e.getMessage().contains("protocol_version"), e.getMessage());
        });
    }

    @Test
    void aServerOfAnotherProjectIsNotTalkedTo() throws Exception {
        during(() -> {
            Path other = folder.resolve("other");
            try (TestFederation theirs = new TestFederation(other)) {
                var config = ClientConfig.of(theirs.siteKit("gamma"), folder.resolve("w")).at("localhost",
                        federation.port);
                try (var client = new FederationClient(config, new SimulatedTrainer(3, 300), ClientEvents.SILENT)) {
                    RefusalException e = assertThrows(RefusalException.class, client::runJob);
                    assertTrue(e.getMessage().contains("we refuse the server's certificate"), e.getMessage());
                }
            }
        });
    }
}
