package isthmus.server;

import static org.junit.jupiter.api.Assertions.assertEquals;

import isthmus.admin.AdminClient;
import isthmus.client.ClientConfig;
import isthmus.client.ClientEvents;
import isthmus.client.FederationClient;
import isthmus.client.JobOutcome;
import isthmus.client.LocalTrainer;
import isthmus.provision.Project;
import isthmus.provision.Provisioner;
import isthmus.tensor.Region;
import isthmus.tensor.Safetensors;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import isthmus.tensor.WeightTable;
import isthmus.wire.Chunks;
import isthmus.wire.JobStatus;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** A whole federation on loopback, with real certificates and sockets, in one folder. */
final class TestFederation implements AutoCloseable {
    static final List<String> SITES = List.of("alpha", "beta", "gamma");
    static final Duration PATIENCE = Duration.ofSeconds(60);
    /** Two chunks and a bit of the smallest chunk size, with a frozen start that must not travel. */
    static final WeightTable TABLE = WeightTable.builder().add("frozen.weight", Shape.of(10, 3), Region.FROZEN)
            .add("conv.weight", Shape.of(8, 50, 50), Region.TRAINABLE)
            .add("fc.weight", Shape.of(20_001), Region.TRAINABLE)
            .add("norm.running_mean", Shape.of(77), Region.STATISTICS).build();

    final Path folder;
    final Path kits;
    final int port;
    FederationServer server;
    private final List<Runnable> open = new ArrayList<>();

    TestFederation(Path folder) throws IOException {
        this.folder = folder;
        this.kits = folder.resolve("project");
        this.port = freePort();
        Provisioner.provision(new Project("test", List.of("localhost"), port, SITES, List.of("admin"), 30), kits);
    }

    static int freePort() throws IOException {
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        }
    }

    ServerConfig serverConfig() {
        return ServerConfig.of(Provisioner.server(kits), folder.resolve("home")).at("127.0.0.1", -1);
    }

    TestFederation start() throws IOException {
        server = FederationServer.start(serverConfig());
        return this;
    }

    void stop() {
        server.close();
        server = null;
    }

    /** Stop and start from a callback. */
    void restart() {
        stop();
        try {
            start();
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    AdminClient admin() throws IOException {
        AdminClient admin = AdminClient.open(Provisioner.admin(kits, "admin"), PATIENCE);
        open.add(admin::close);
        return admin;
    }

    Path siteKit(String site) { return Provisioner.site(kits, site); }

    FederationClient client(String site, LocalTrainer trainer, ClientEvents events) throws IOException {
        var config = new ClientConfig(siteKit(site), folder.resolve("work-" + site), null, 0, Chunks.LEAST);
        FederationClient client = new FederationClient(config, trainer, events);
        open.add(client::close);
        return client;
    }

    /** Runs a site's client on a thread of its own until the job ends. */
    CompletableFuture<JobOutcome> site(String site, LocalTrainer trainer) throws IOException {
        return run(client(site, trainer, ClientEvents.SILENT));
    }

    static CompletableFuture<JobOutcome> run(FederationClient client) {
        CompletableFuture<JobOutcome> outcome = new CompletableFuture<>();
        Thread.ofVirtual().start(() -> {
            try {
                outcome.complete(client.runJob());
            } catch (IOException | RuntimeException e) {
                outcome.completeExceptionally(e);
            }
        });
        return outcome;
    }

    Path initialWeights() throws IOException {
        Path file = folder.resolve("initial.safetensors");
        if (Files.exists(file))
            return file;
        try (Arena arena = Arena.ofConfined()) {
            WeightBuffer weights = WeightBuffer.allocate(TABLE, arena);
            for (long i = 0; i < TABLE.elements(); i++)
                weights.segment().setAtIndex(ValueLayout.JAVA_FLOAT, i, initial(i));
            Safetensors.write(file, weights, java.util.Map.of("origin", "test"));
        }
        return file;
    }

    static float initial(long index) { return (float) Math.cos(index * 0.11); }

    static String job(int rounds, int minSites, String more) { return """
            {"name": "test", "rounds": %d, "min_sites": %d, "aggregator": {"rule": "fedavg"}, "key_metric": "score",
             "recipe": {"lr": 0.1}%s}""".formatted(rounds, minSites, more); }

    String submit(String job) throws IOException, InterruptedException {
        return admin().submit(job, initialWeights(), (now, all) -> {});
    }

    /** Waits for a job; the caller bounds the time. */
    JobStatus await(String job, java.util.function.Predicate<JobStatus> until)
            throws IOException, InterruptedException {
        AdminClient admin = admin();
        while (true) {
            JobStatus status = admin.status(job, 0);
            if (until.test(status))
                return status;
            Thread.sleep(20);
        }
    }

    Path modelFile(String job, String which) {
        return folder.resolve("home/jobs").resolve(job).resolve(which + ".safetensors");
    }

    float[] model(String job, String which) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            WeightBuffer weights = Safetensors.map(modelFile(job, which), arena).weights();
            return weights.segment().toArray(ValueLayout.JAVA_FLOAT);
        }
    }

    /** Runs all three, each with its own trainer. */
    List<CompletableFuture<JobOutcome>> everySite() throws IOException {
        List<CompletableFuture<JobOutcome>> sites = new ArrayList<>();
        for (int i = 0; i < SITES.size(); i++)
            sites.add(site(SITES.get(i), new SimulatedTrainer(i + 1, 100L * (i + 1))));
        return sites;
    }

    /** Waits until each has ended, which must be well. */
    static void awaitDone(List<CompletableFuture<JobOutcome>> sites) throws Exception {
        for (var site : sites)
            assertEquals("done", site.get().state());
    }

    /** A job of three sites, undisturbed; the bits that every disturbed run must have, too. */
    byte[] undisturbed(int rounds) throws Exception {
        String job = submit(job(rounds, 3, ""));
        awaitDone(everySite());
        return Files.readAllBytes(modelFile(job, "last"));
    }

    @Override
    public void close() {
        open.forEach(Runnable::run);
        if (server != null)
            server.close();
    }
}
