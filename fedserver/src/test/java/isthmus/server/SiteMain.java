package isthmus.server;

import isthmus.client.ClientConfig;
import isthmus.client.ClientEvents;
import isthmus.client.FederationClient;
import isthmus.client.RoundTask;
import isthmus.wire.Chunks;
import java.nio.file.Path;

/** A site in a process of its own that stops in the middle of its first upload and prints UPLOADING, to be killed. */
final class SiteMain {
    private SiteMain() {}

    public static void main(String[] args) throws Exception {
        var config = new ClientConfig(Path.of(args[0]), Path.of(args[1]), null, 0, Chunks.LEAST);
        ClientEvents stuck = new ClientEvents() {
            @Override
            public void progress(RoundTask task, String what, long done, long total, String note) {
                if (!what.equals("upload"))
                    return;
                System.out.println("UPLOADING " + done + " of " + total);
                try {
                    Thread.sleep(Long.MAX_VALUE);
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
            }
        };
        try (var client = new FederationClient(config, new SimulatedTrainer(3, 300), stuck)) {
            client.runJob();
        }
    }
}
