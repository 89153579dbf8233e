package isthmus.server;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/** A bad line: passes bytes on to a server, and cuts every connection after a random number of them. */
final class FlakyProxy implements AutoCloseable {
    final int port;
    final AtomicInteger cuts = new AtomicInteger();
    /** Bytes from the server to its clients. */
    final AtomicLong down = new AtomicLong();
    private final ServerSocket listening;
    private final int serverPort;
    private final Random random;
    private final int mostBytes;

    FlakyProxy(int serverPort, long seed, int mostBytes) throws IOException {
        this.serverPort = serverPort;
        this.random = new Random(seed);
        this.mostBytes = mostBytes;
        this.listening = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
        this.port = listening.getLocalPort();
        Thread.ofVirtual().start(this::accept);
    }

    private void accept() {
        try {
            while (true) {
                Socket client = listening.accept();
                Socket server = new Socket(InetAddress.getLoopbackAddress(), serverPort);
                AtomicInteger left = new AtomicInteger(4096 + random.nextInt(mostBytes));
                Thread.ofVirtual().start(() -> pass(client, server, left, new AtomicLong()));
                Thread.ofVirtual().start(() -> pass(server, client, left, down));
            }
        } catch (IOException e) {
            // Closed, or the server is away for a moment: the client will try again.
            if (!listening.isClosed())
                accept();
        }
    }

    private void pass(Socket from, Socket to, AtomicInteger left, AtomicLong passed) {
        byte[] buffer = new byte[4096];
        try (from; to) {
            InputStream in = from.getInputStream();
            OutputStream out = to.getOutputStream();
            for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
                if (left.addAndGet(-n) < 0) {
                    cuts.incrementAndGet();
                    return;
                }
                out.write(buffer, 0, n);
                passed.addAndGet(n);
            }
        } catch (IOException e) {
            // The other direction was cut.
            cuts.addAndGet(0);
        }
    }

    @Override
    public void close() throws IOException { listening.close(); }
}
