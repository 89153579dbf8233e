package isthmus.cli;

import isthmus.admin.AdminClient;
import isthmus.provision.Provisioner;
import isthmus.wire.JobStatus;
import isthmus.task.Compute;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.json.JsonMapper;

/** The demo's federation: a server and a process a hospital on loopback, each with its own kit and its own films only. */
final class Federation implements AutoCloseable {
    private static final String LOOPBACK = "127.0.0.1";
    private static final long START_SECONDS = 60;
    private static final long END_SECONDS = 30;

    private final Terminal terminal;
    private final Path folder;
    private final Path kits;
    private final Path logs;
    private final List<Hospital> hospitals;
    private final Compute compute;
    private final Children children = new Children();
    private final List<Children.Child> sites = new ArrayList<>();
    private AdminClient admin;

    Federation(Terminal terminal, Path folder, Path kits, List<Hospital> hospitals, Compute compute) {
        this.terminal = terminal;
        this.folder = folder;
        this.kits = kits;
        this.logs = folder.resolve("logs");
        this.hospitals = hospitals;
        this.compute = compute;
    }

    /** Starts the server, and the sites as soon as its port is known. */
    void begin() throws IOException, InterruptedException {
        Files.createDirectories(logs);
        Children.Child server = children.start("server", "256m", logs, List.of("server", "--json", "--kit",
                Provisioner.server(kits).toString(), "--data", folder.resolve("server").toString(), "--bind", LOOPBACK,
                "--port", "0"));
        int port = port(server);
        for (Hospital h : hospitals) {
            sites.add(children.start(h.name(), "1g", logs,
                    List.of("site", "--once", "--kit", Provisioner.site(kits, h.name()).toString(),
                            "--data", h.train().toString(), "--val", h.validation().toString(), "--work",
                            folder.resolve("sites").resolve(h.name()).toString(), "--server", LOOPBACK + ":" + port,
                            "--threads",
                            Integer.toString(compute.threads()), "--device", compute.device())));
        }
        admin = AdminClient.open(Provisioner.admin(kits, "admin"), LOOPBACK, port, Duration.ofSeconds(20));
        var pids = new StringBuilder("   server (process " + server.process().pid() + ", port " + port + ")");
        for (Children.Child site : sites)
            pids.append(", ").append(site.name()).append(" (").append(site.process().pid()).append(')');
        terminal.print(pids.toString());
    }

    private int port(Children.Child server) throws IOException, InterruptedException {
        long end = System.nanoTime() + Duration.ofSeconds(START_SECONDS).toNanos();
        while (System.nanoTime() < end) {
            String said = Files.readString(server.out(), StandardCharsets.UTF_8);
            if (said.endsWith("\n")) return JsonMapper.shared().readTree(said).get("port").asInt();
            children.check();
            Thread.sleep(20);
        }
        throw new CliException(Exit.FAILED,
                "the server was not ready after " + START_SECONDS + " s; see " + server.log());
    }

    Follower submit(JobFile job, Path start) throws IOException, InterruptedException {
        return new Follower(admin, admin.submit(job.text(), start, (now, all) -> {}), terminal, false);
    }

    /** Watches the job to its end, which must be a good one; {@code first} is told when the first round is done. */
    JobStatus follow(Follower follower, Runnable first) throws IOException, InterruptedException {
        boolean[] told = {false};
        JobStatus end = follower.follow(() -> {
            children.check();
            if (!told[0] && !follower.rounds().isEmpty()) {
                told[0] = true;
                first.run();
            }
        });
        if (!end.state().equals("done"))
            throw new CliException(Exit.FAILED, "the job is " + end.state() + ": " + end.reason() + "; logs: " + logs);
        children.await(sites, END_SECONDS);
        return end;
    }

    /** Fetches best and last model. */
    void fetch(String job, Path best) throws IOException, InterruptedException {
        Files.createDirectories(best.getParent());
        admin.download(job, "best", best);
        admin.download(job, "last", best.resolveSibling("last.safetensors"));
    }

    @Override
    public void close() {
        if (admin != null) admin.close();
        children.close();
    }
}
