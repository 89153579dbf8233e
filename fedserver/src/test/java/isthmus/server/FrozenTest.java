package isthmus.server;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.client.ClientConfig;
import isthmus.client.ClientEvents;
import isthmus.client.FederationClient;
import isthmus.client.JobOutcome;
import isthmus.tensor.Region;
import isthmus.tensor.Safetensors;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import isthmus.tensor.WeightTable;
import isthmus.wire.Chunks;
import isthmus.wire.JobStatus;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A frozen base reaches each site once; from then on only what is trained travels, both ways. */
@Timeout(60)
class FrozenTest {
    private static final int ROUNDS = 6;
    private static final WeightTable TABLE = WeightTable.builder().add("base", Shape.of(1000, 500), Region.FROZEN)
            .add("adapter", Shape.of(5000), Region.TRAINABLE).build();
    private static final long FROZEN = TABLE.range(Region.FROZEN).length() * Float.BYTES;

    @TempDir
    Path folder;

    private Path weights() throws IOException {
        Path file = folder.resolve("start.safetensors");
        try (Arena arena = Arena.ofConfined()) {
            WeightBuffer weights = WeightBuffer.allocate(TABLE, arena);
            for (long i = 0; i < TABLE.elements(); i++)
                weights.segment().setAtIndex(ValueLayout.JAVA_FLOAT, i, TestFederation.initial(i));
            Safetensors.write(file, weights, Map.of());
        }
        return file;
    }

    private long run(Runnable beforeTraining) throws Exception {
        try (TestFederation federation = new TestFederation(folder).start();
                FlakyProxy proxy = new FlakyProxy(federation.port, 1, Integer.MAX_VALUE - 4096)) {
            String job = federation.admin().submit(TestFederation.job(ROUNDS, 1, ""), weights(), (now, all) -> {});
            var config = new ClientConfig(federation.siteKit("alpha"), folder.resolve("work"), "localhost", proxy.port,
                    Chunks.LEAST);
            SimulatedTrainer trainer = new SimulatedTrainer(1, 100);
            trainer.beforeTraining = beforeTraining;
            try (FederationClient client = new FederationClient(config, trainer, ClientEvents.SILENT)) {
                CompletableFuture<JobOutcome> site = TestFederation.run(client);
                assertEquals(new JobOutcome(job, ROUNDS, "done"), site.get());
            }
            assertEquals(5000 * 4,
                    federation.await(job, JobStatus::ended).history().getLast().sites().getFirst().bytesUp());
            assertArrayEquals(expected(), federation.model(job, "last"), 1e-6f);
            return proxy.down.get();
        }
    }

    private static float[] expected() {
        float[] w = new float[(int) TABLE.elements()];
        int frozen = (int) TABLE.exchanged().offset();
        for (int i = 0; i < w.length; i++) {
            w[i] = TestFederation.initial(i);
            for (int round = 0; i >= frozen && round < ROUNDS; round++)
                w[i] = SimulatedTrainer.trained(w[i], 1, i - frozen);
        }
        return w;
    }

    @Test
    void theBaseTravelsOnce() throws Exception {
        long down = run(() -> {});
        long adapters = (ROUNDS + 1) * 5000L * 4;
        assertTrue(down >= FROZEN + adapters, down + " bytes came down");
        assertTrue(down < FROZEN * 5 / 4 + adapters, down + " bytes came down; the base has " + FROZEN);
    }

    /** What lies on a site's disk is not trusted either: the whole file's digest decides. */
    @Test
    void aBaseThatChangedOnDiskIsFetchedAnew() throws Exception {
        AtomicInteger tasks = new AtomicInteger();
        long down = run(() -> {
            if (tasks.incrementAndGet() == 3) damage();
        });
        assertTrue(down > 2 * FROZEN && down < 3 * FROZEN, down + " bytes came down; the base has " + FROZEN);
    }

    private void damage() {
        try (var files = Files.walk(folder.resolve("work"))) {
            Path file = files.filter(f -> f.toString().endsWith(".safetensors")).findFirst().orElseThrow();
            try (RandomAccessFile bytes = new RandomAccessFile(file.toFile(), "rw")) {
                bytes.seek(Safetensors.inspect(file).dataOffset() + FROZEN / 2);
                bytes.write(77);
            }
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }
}
