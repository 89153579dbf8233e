package isthmus.cli;

import isthmus.server.FederationServer;
import isthmus.server.ServerConfig;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import picocli.CommandLine.Option;

/** Runs the federation server until it is stopped. */
@picocli.CommandLine.Command(name = "server", description = "Runs the federation server until Ctrl-C. Its state lies in the data folder:"
        + " started again on it, killed or not, it goes on where it was.", footer = {"",
                "Example: isthmus server --kit kits/server --data server-data"})
final class ServerCommand extends Command {
    @Option(names = "--kit", required = true, paramLabel = "DIR", description = "The server's kit, from isthmus provision.")
    private Path kit;

    @Option(names = "--data", required = true, paramLabel = "DIR", description = "Where jobs, models and the log are kept.")
    private Path data;

    @Option(names = "--bind", defaultValue = "0.0.0.0", description = "Local address to listen on. Default: ${DEFAULT-VALUE}.")
    private String bind;

    @Option(names = "--port", defaultValue = "-1", description = "TCP port; 0 takes a free one. Default: the kit's.")
    private int port;

    @Option(names = "--max-model-bytes", defaultValue = "8589934592", description = "Greatest model that a job may bring; also the bound of every update. Default: 8 GiB.")
    private long maxModelBytes;

    /** Said once, as soon as sites can connect. */
    record Listening(String event, String bind, int port) {}

    @Override
    void run(Terminal terminal) throws Exception {
        Logs.toFile(data.resolve("server.log"));
        FederationServer server = FederationServer.start(new ServerConfig(kit, data, bind, port, maxModelBytes));
        Runtime.getRuntime().addShutdownHook(new Thread(server::close, "stop"));
        terminal.event(new Listening("listening", bind, server.port()));
        terminal.print("listening on " + bind + " port " + server.port() + "; log: " + data.resolve("server.log")
                + "; Ctrl-C stops it");
        new CountDownLatch(1).await();
    }
}
