package isthmus.server;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.client.ClientEvents;
import isthmus.client.JobOutcome;
import isthmus.client.RoundTask;
import isthmus.provision.Provisioner;
import isthmus.wire.JobStatus;
import isthmus.wire.RoundRecord;
import isthmus.wire.UploadState;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Processes die without warning, and the job ends with the bits of a job in which nobody died. */
@Timeout(180)
class CrashTest {
    private static final int ROUNDS = 3;

    @TempDir
    Path folder;

    private byte[] undisturbed(int rounds) throws Exception {
        try (TestFederation federation = new TestFederation(folder.resolve("undisturbed")).start()) {
            return federation.undisturbed(rounds);
        }
    }

    private static Processes server(TestFederation federation) throws Exception {
        return Processes.start(ServerMain.class, "READY", Provisioner.server(federation.kits).toString(),
                federation.folder.resolve("home").toString());
    }

    @Test
    void aServerKilledInTheMiddleOfARoundGoesOnWithTheAcceptedUpdates() throws Exception {
        byte[] expected = undisturbed(ROUNDS);
        try (TestFederation federation = new TestFederation(folder.resolve("killed"));
                Processes first = server(federation)) {
            String job = federation.submit(TestFederation.job(ROUNDS, 3, ""));
            List<CompletableFuture<JobOutcome>> sites = new ArrayList<>();
            sites.add(federation.site("alpha", new SimulatedTrainer(1, 100)));
            sites.add(federation.site("beta", new SimulatedTrainer(2, 200)));
            CountDownLatch secondRound = new CountDownLatch(1);
            SimulatedTrainer gamma = new SimulatedTrainer(3, 300);
            SimulatedTrainer waiting = new SimulatedTrainer(3, 300).waitingFor(secondRound);
            gamma.beforeTraining = () -> {
                if (gamma.lastTask != null && gamma.lastTask.round() == 1)
                    waiting.beforeTraining.run();
            };
            sites.add(federation.site("gamma", gamma));
            federation.await(job, s -> s.round() == 2
                    && s.sites().stream().filter(x -> x.state().equals("delivered")).count() == 2);
            first.kill();
            try (Processes second = server(federation)) {
                JobStatus resumed = federation.await(job, s -> true);
                assertEquals(2, resumed.round());
                assertEquals(List.of("alpha", "beta"), resumed.sites().stream()
                        .filter(s -> s.state().equals("delivered")).map(JobStatus.Site::site).toList());
                secondRound.countDown();
                for (var site : sites)
                    assertEquals(new JobOutcome(job, ROUNDS, "done"), site.get());
                checkHistory(federation.await(job, JobStatus::ended));
                second.kill();
            }
            assertArrayEquals(expected, Files.readAllBytes(federation.modelFile(job, "last")));
            assertEquals(3 * ROUNDS, count(federation, job, "\"accepted\""), "each update was counted once");
        }
    }

    private static void checkHistory(JobStatus status) {
        assertEquals(ROUNDS, status.history().size());
        for (RoundRecord round : status.history())
            assertEquals(List.of(100L, 200L, 300L), round.sites().stream().map(RoundRecord.Site::samples).toList());
    }

    private static long count(TestFederation federation, String job, String text) throws Exception {
        try (var lines = Files.lines(federation.modelFile(job, "last").resolveSibling("journal.log"))) {
            return lines.filter(line -> line.contains(text)).count();
        }
    }

    @Test
    void anUploadResumesAtTheLastVerifiedChunkThoughTheServerWasKilled() throws Exception {
        byte[] expected = undisturbed(1);
        try (TestFederation federation = new TestFederation(folder.resolve("killed"));
                Processes first = server(federation)) {
            String job = federation.submit(TestFederation.job(1, 3, ""));
            RawUpdate update = new RawUpdate(federation, "gamma", 3, 300, job);
            UploadState begun = update.begin();
            assertEquals(List.of(new UploadState.Span(0, 3)), begun.missing());
            update.chunk(1);
            first.kill();
            try (Processes second = server(federation)) {
                assertEquals(List.of(new UploadState.Span(0, 1), new UploadState.Span(2, 3)), update.begin().missing());
                update.chunk(0);
                update.chunk(2);
                assertTrue(update.commit().accepted());
                TestFederation.awaitDone(federation.everySite());
                second.kill();
            }
            assertArrayEquals(expected, Files.readAllBytes(federation.modelFile(job, "last")));
        }
    }

    @Test
    void aRoundCompletesWithoutASiteThatWasKilledDuringItsUpload() throws Exception {
        byte[] expected;
        try (TestFederation two = new TestFederation(folder.resolve("two")).start()) {
            expected = alphaAndBeta(two, two.submit(TestFederation.job(2, 2, "")));
        }
        try (TestFederation federation = new TestFederation(folder.resolve("killed")).start()) {
            String job = federation.submit(TestFederation.job(2, 2, ", \"no_progress_seconds\": 2"));
            killGammaDuringUpload(federation);
            assertArrayEquals(expected, alphaAndBeta(federation, job));
            JobStatus status = federation.await(job, JobStatus::ended);
            for (RoundRecord round : status.history())
                assertFalse(round.sites().stream().anyMatch(s -> s.site().equals("gamma")), "the half counts nowhere");
        }
    }

    private static byte[] alphaAndBeta(TestFederation federation, String job) throws Exception {
        var alpha = federation.site("alpha", new SimulatedTrainer(1, 100));
        federation.await(job, s -> s.sites().stream().anyMatch(x -> x.state().equals("delivered")));
        var beta = federation.site("beta", new SimulatedTrainer(2, 200));
        assertEquals("done", alpha.get().state());
        assertEquals("done", beta.get().state());
        return Files.readAllBytes(federation.modelFile(job, "last"));
    }

    private static void killGammaDuringUpload(TestFederation federation) throws Exception {
        try (Processes gamma = Processes.start(SiteMain.class, "UPLOADING", federation.siteKit("gamma").toString(),
                federation.folder.resolve("work-gamma").toString())) {
            gamma.kill();
        }
    }

    @Test
    void aSiteThatWasKilledDuringItsUploadJoinsAgain() throws Exception {
        byte[] expected = undisturbed(2);
        try (TestFederation federation = new TestFederation(folder.resolve("killed")).start()) {
            String job = federation.submit(TestFederation.job(2, 3, ""));
            killGammaDuringUpload(federation);
            TestFederation.awaitDone(federation.everySite());
            assertArrayEquals(expected, Files.readAllBytes(federation.modelFile(job, "last")));
        }
    }

    @Test
    void aSiteGoesOnWithItsUploadAndDoesNotTrainAgainWhenTheServerWasStartedAnew() throws Exception {
        byte[] expected = undisturbed(1);
        try (TestFederation federation = new TestFederation(folder.resolve("anew")).start()) {
            String job = federation.submit(TestFederation.job(1, 3, ""));
            AtomicInteger trained = new AtomicInteger();
            List<Long> sent = new ArrayList<>();
            SimulatedTrainer gamma = new SimulatedTrainer(3, 300);
            gamma.beforeTraining = trained::incrementAndGet;
            ClientEvents restarting = new ClientEvents() {
                @Override
                public void progress(RoundTask task, String what, long done, long total, String note) {
                    if (!what.equals("upload"))
                        return;
                    sent.add(done);
                    if (sent.size() == 1)
                        federation.restart();
                }
            };
            var third = TestFederation.run(federation.client("gamma", gamma, restarting));
            var first = federation.site("alpha", new SimulatedTrainer(1, 100));
            var second = federation.site("beta", new SimulatedTrainer(2, 200));
            for (var site : List.of(first, second, third))
                assertEquals("done", site.get().state());
            assertEquals(1, trained.get());
            assertEquals(List.of(65_536L, 131_072L, 160_312L), sent, "no verified chunk was sent twice");
            assertArrayEquals(expected, Files.readAllBytes(federation.modelFile(job, "last")));
        }
    }

    @Test
    void anAcceptedUpdateThatWasDamagedOnDiskIsAskedForAgain() throws Exception {
        byte[] expected = undisturbed(1);
        try (TestFederation federation = new TestFederation(folder.resolve("damaged")).start(); Log log = new Log()) {
            String job = federation.submit(TestFederation.job(1, 3, ""));
            assertTrue(new RawUpdate(federation, "alpha", 1, 100, job).sendAll().accepted());
            federation.stop();
            Path slot = federation.modelFile(job, "last").resolveSibling("slots/alpha.slot");
            byte[] bytes = Files.readAllBytes(slot);
            bytes[bytes.length / 2] ^= 1;
            Files.write(slot, bytes);
            federation.start();
            log.await("ERROR", job, "alpha", "its accepted update is damaged on disk; the site is asked again");
            TestFederation.awaitDone(federation.everySite());
            assertArrayEquals(expected, Files.readAllBytes(federation.modelFile(job, "last")));
        }
    }

    @Test
    void aServerThatIsStoppedAndStartedGoesOn() throws Exception {
        byte[] expected = undisturbed(ROUNDS);
        try (TestFederation federation = new TestFederation(folder.resolve("stopped")).start()) {
            String job = federation.submit(TestFederation.job(ROUNDS, 3, ""));
            List<CompletableFuture<JobOutcome>> sites = federation.everySite();
            for (int stops = 0; stops < 3; stops++) {
                federation.stop();
                federation.start();
            }
            TestFederation.awaitDone(sites);
            assertArrayEquals(expected, Files.readAllBytes(federation.modelFile(job, "last")));
        }
    }
}
