package isthmus.server;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.client.ClientConfig;
import isthmus.client.ClientEvents;
import isthmus.client.FederationClient;
import isthmus.client.JobOutcome;
import isthmus.provision.Provisioner;
import isthmus.wire.Chunks;
import isthmus.wire.JobStatus;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Lines that break all the time and servers that are killed all the time change nothing but the time it takes. */
@Timeout(240)
class CutTest {
    @TempDir
    Path folder;

    private byte[] undisturbed(int rounds) throws Exception {
        try (TestFederation federation = new TestFederation(folder.resolve("undisturbed")).start()) {
            return federation.undisturbed(rounds);
        }
    }

    @Test
    void downloadsAndUploadsResumeOverLinesThatAreCutAllTheTime() throws Exception {
        byte[] expected = undisturbed(2);
        try (TestFederation federation = new TestFederation(folder.resolve("cut")).start();
                FlakyProxy proxy = new FlakyProxy(federation.port, 7, 150_000)) {
            String job = federation.submit(TestFederation.job(2, 3, ""));
            List<FederationClient> clients = new ArrayList<>();
            List<CompletableFuture<JobOutcome>> sites = new ArrayList<>();
            for (int i = 0; i < 3; i++) {
                String name = TestFederation.SITES.get(i);
                var config = new ClientConfig(federation.siteKit(name), folder.resolve("work-" + name), "localhost",
                        proxy.port, Chunks.LEAST);
                clients.add(new FederationClient(config, new SimulatedTrainer(i + 1, 100L * (i + 1)),
                        ClientEvents.SILENT));
                sites.add(TestFederation.run(clients.getLast()));
            }
            TestFederation.awaitDone(sites);
            clients.forEach(FederationClient::close);
            assertTrue(proxy.cuts.get() >= 5, "the line was cut " + proxy.cuts + " times only");
            assertArrayEquals(expected, Files.readAllBytes(federation.modelFile(job, "last")));
        }
    }

    @Test
    void aServerKilledAtAnyMomentLosesAndDoublesNothing() throws Exception {
        int rounds = 24;
        byte[] expected = undisturbed(rounds);
        Random random = new Random(11);
        try (TestFederation federation = new TestFederation(folder.resolve("killed"))) {
            Processes server = server(federation);
            String job = federation.submit(TestFederation.job(rounds, 3, ""));
            List<CompletableFuture<JobOutcome>> sites = federation.everySite();
            for (int kills = 0; kills < 3; kills++) {
                int reached = federation.await(job, s -> true).round() + 2;
                federation.await(job, s -> s.round() >= reached || s.ended());
                Thread.sleep(random.nextInt(60));
                server.kill();
                server = server(federation);
            }
            for (var site : sites)
                assertEquals(new JobOutcome(job, rounds, "done"), site.get());
            JobStatus status = federation.await(job, JobStatus::ended);
            assertEquals(rounds, status.history().size());
            server.kill();
            assertArrayEquals(expected, Files.readAllBytes(federation.modelFile(job, "last")));
        }
    }

    private static Processes server(TestFederation federation) throws Exception {
        return Processes.start(ServerMain.class, "READY", Provisioner.server(federation.kits).toString(),
                federation.folder.resolve("home").toString());
    }
}
