package isthmus.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.admin.AdminClient;
import isthmus.client.JobOutcome;
import isthmus.tensor.Safetensors;
import isthmus.wire.JobStatus;
import isthmus.wire.RoundRecord;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Whole jobs over real wires: what comes out is what the papers' formulas say, whoever comes first. */
@Timeout(120)
class FederationTest {
    private static final int ROUNDS = 4;

    @TempDir
    Path folder;

    @Test
    void threeSitesComputeFederatedAveraging() throws Exception {
        try (TestFederation federation = new TestFederation(folder).start()) {
            String job = federation.submit(TestFederation.job(ROUNDS, 3, ""));
            List<SimulatedTrainer> trainers = new ArrayList<>();
            List<CompletableFuture<JobOutcome>> sites = new ArrayList<>();
            for (int i = 0; i < 3; i++) {
                trainers.add(new SimulatedTrainer(i + 1, 100L * (i + 1)));
                sites.add(federation.site(TestFederation.SITES.get(i), trainers.get(i)));
            }
            for (var site : sites)
                assertEquals(new JobOutcome(job, ROUNDS, "done"), site.get());

            assertWeights(expected(ROUNDS), federation.model(job, "last"));
            checkStatus(federation.await(job, JobStatus::ended));
            assertEquals("{\"lr\":0.1}", trainers.get(0).lastTask.recipe());
            assertEquals(Map.of(), trainers.get(0).lastTask.rule());
            checkModels(federation, job);
        }
    }

    private static void checkStatus(JobStatus status) {
        assertEquals("done", status.state());
        assertEquals(ROUNDS, status.history().size());
        for (RoundRecord round : status.history()) {
            assertEquals(TestFederation.SITES, round.sites().stream().map(RoundRecord.Site::site).toList());
            assertEquals(List.of(100L, 200L, 300L), round.sites().stream().map(RoundRecord.Site::samples).toList());
            assertEquals(TestFederation.TABLE.exchanged().length() * 4, round.sites().getFirst().bytesUp());
            double mean = round.sites().stream().mapToDouble(s -> s.valSamples() * s.validation().get("score")).sum()
                    / 60;
            assertEquals(mean, round.keyMetric(), 1e-12);
        }
        RoundRecord best = status.history().stream().filter(RoundRecord::best).reduce((a, b) -> b).orElseThrow();
        assertEquals(best.round(), status.bestRound());
        assertEquals(status.history().stream().mapToDouble(RoundRecord::keyMetric).max().orElseThrow(),
                status.bestValue());
        assertEquals(ROUNDS, status.bestRound(), "the last round is a candidate, too");
    }

    private void checkModels(TestFederation federation, String job) throws Exception {
        Path fetched = folder.resolve("fetched.safetensors");
        federation.admin().download(job, "best", fetched);
        assertEquals(-1, Files.mismatch(fetched, federation.modelFile(job, "best")));
        Map<String, String> metadata = Safetensors.inspect(fetched).metadata();
        assertEquals(job, metadata.get("isthmus.job"));
        assertEquals("4", metadata.get("isthmus.round"));
        assertEquals("test", metadata.get("origin"), "what the initial weights said of themselves is kept");
        assertEquals(64, metadata.get("isthmus.inputs").length());
        assertTrue(metadata.get("isthmus.metrics").startsWith("{\"score\":0."), metadata.get("isthmus.metrics"));
        try (var files = Files.list(federation.modelFile(job, "best").getParent())) {
            assertEquals(1, files.filter(f -> f.getFileName().toString().startsWith("global-")).count(),
                    "only the newest weights are kept");
        }
    }

    /** McMahan's formula with plain loops. */
    private static float[] expected(int rounds) {
        int n = (int) TestFederation.TABLE.elements();
        int frozen = (int) TestFederation.TABLE.exchanged().offset();
        float[] w = new float[n];
        for (int i = 0; i < n; i++)
            w[i] = TestFederation.initial(i);
        for (int round = 0; round < rounds; round++) {
            for (int i = frozen; i < n; i++) {
                double sum = 0;
                for (int site = 1; site <= 3; site++)
                    sum += 100.0 * site / 600 * (SimulatedTrainer.trained(w[i], site, i - frozen) - w[i]);
                w[i] = (float) (w[i] + sum);
            }
        }
        return w;
    }

    private static void assertWeights(float[] expected, float[] came) {
        assertEquals(expected.length, came.length);
        for (int i = 0; i < expected.length; i++)
            assertEquals(expected[i], came[i], 1e-6f * Math.max(1, Math.abs(expected[i])), "weight " + i);
    }

    @Test
    void bitsDoNotDependOnWhoComesFirst() throws Exception {
        List<byte[]> results = new ArrayList<>();
        for (int[] order : new int[][]{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}}) {
            Path run = folder.resolve("run" + results.size());
            try (TestFederation federation = new TestFederation(run).start()) {
                String job = federation.submit(TestFederation.job(1, 3, ""));
                List<CompletableFuture<JobOutcome>> sites = new ArrayList<>();
                for (int k = 0; k < 3; k++) {
                    int have = k;
                    sites.add(federation.site(TestFederation.SITES.get(order[k]),
                            new SimulatedTrainer(order[k] + 1, 100L * (order[k] + 1))));
                    if (k < 2)
                        federation.await(job,
                                s -> s.sites().stream().filter(x -> x.state().equals("delivered")).count() > have);
                }
                for (var site : sites)
                    site.get();
                results.add(Files.readAllBytes(federation.modelFile(job, "last")));
            }
        }
        for (byte[] result : results)
            assertEquals(-1, java.util.Arrays.mismatch(results.getFirst(), result));
    }

    @Test
    void fedProxTellsSitesItsMu() throws Exception {
        try (TestFederation federation = new TestFederation(folder).start()) {
            federation.submit(TestFederation.job(1, 1, "").replace("{\"rule\": \"fedavg\"}",
                    "{\"rule\": \"fedprox\", \"mu\": 0.25}"));
            SimulatedTrainer trainer = new SimulatedTrainer(1, 10);
            federation.site("alpha", trainer).get();
            assertEquals(Map.of("mu", 0.25), trainer.lastTask.rule());
        }
    }

    @Test
    void aSiteWithoutProgressHoldsUpNobody() throws Exception {
        CountDownLatch never = new CountDownLatch(1);
        try (TestFederation federation = new TestFederation(folder).start()) {
            String job = federation.submit(TestFederation.job(2, 2, ", \"no_progress_seconds\": 1"));
            var stuck = federation.site("gamma", new SimulatedTrainer(3, 300).waitingFor(never));
            federation.await(job, s -> s.sites().stream().anyMatch(x -> x.site().equals("gamma")));
            var first = federation.site("alpha", new SimulatedTrainer(1, 100));
            var second = federation.site("beta", new SimulatedTrainer(2, 200));
            assertEquals("done", first.get().state());
            assertEquals("done", second.get().state());
            JobStatus status = federation.await(job, JobStatus::ended);
            assertEquals(0, status.history().getFirst().sites().stream().filter(s -> s.site().equals("gamma"))
                    .mapToLong(RoundRecord.Site::samples).sum());
            assertFalse(stuck.isDone());
            never.countDown();
            assertEquals("done", stuck.get().state(), "the late site learns that the job is over");
        }
    }

    @Test
    void aRoundClosesAtItsDeadlineWithTheUpdatesItHas() throws Exception {
        CountDownLatch never = new CountDownLatch(1);
        try (TestFederation federation = new TestFederation(folder).start()) {
            String job = federation.submit(TestFederation.job(1, 1, ", \"round_deadline_seconds\": 2"));
            var stuck = federation.site("gamma", new SimulatedTrainer(3, 300).waitingFor(never));
            federation.await(job, s -> s.sites().stream().anyMatch(x -> x.site().equals("gamma")));
            var first = federation.site("alpha", new SimulatedTrainer(1, 100));
            assertEquals("done", first.get().state());
            JobStatus status = federation.await(job, JobStatus::ended);
            assertEquals(100, status.history().getFirst().sites().stream().mapToLong(RoundRecord.Site::samples).sum());
            never.countDown();
            assertEquals("done", stuck.get().state());
        }
    }

    @Test
    void aFailingTrainerIsShownWithItsReason() throws Exception {
        try (TestFederation federation = new TestFederation(folder).start()) {
            String job = federation.submit(TestFederation.job(1, 1, ""));
            SimulatedTrainer broken = new SimulatedTrainer(1, 10);
            broken.beforeTraining = () -> {
                throw new IllegalStateException("labels.csv is missing");
            };
            var run = federation.site("alpha", broken);
            JobStatus status = federation.await(job, s -> s.sites().stream().anyMatch(x -> x.state().equals("failed")));
            assertEquals("training failed: labels.csv is missing", status.sites().getFirst().note());
            assertTrue(run.handle((outcome, e) -> e.getMessage()).get().contains("labels.csv is missing"));
            assertEquals("done", federation.site("alpha", new SimulatedTrainer(1, 10)).get().state(),
                    "started anew, the site is asked again");
        }
    }

    @Test
    void anAbortedJobEndsForItsSites() throws Exception {
        try (TestFederation federation = new TestFederation(folder).start()) {
            String job = federation.submit(TestFederation.job(100, 2, ""));
            var site = federation.site("alpha", new SimulatedTrainer(1, 10));
            federation.await(job, s -> s.sites().stream().anyMatch(x -> x.state().equals("delivered")));
            AdminClient admin = federation.admin();
            admin.abort(job);
            assertEquals("aborted", site.get().state());
            assertEquals("by admin", admin.status(job, 0).reason());
            assertNull(admin.status(job, 0).bestValue());
        }
    }
}
