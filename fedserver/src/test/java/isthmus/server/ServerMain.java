package isthmus.server;

import java.nio.file.Path;

/** A server in a process of its own, to be killed: arguments are kit and home; it prints READY once it listens. */
final class ServerMain {
    private ServerMain() {}

    public static void main(String[] args) throws Exception {
        long start = System.nanoTime();
        FederationServer server = FederationServer.start(
                ServerConfig.of(Path.of(args[0]), Path.of(args[1])).at("127.0.0.1", -1));
        System.out.println("READY " + server.port() + " after " + (System.nanoTime() - start) / 1_000_000 + " ms");
        Thread.currentThread().join();
    }
}
