package isthmus.server;

import java.nio.file.Path;

/**
 * What a server needs to start.
 *
 * @param kit the server's kit, from {@code isthmus provision}
 * @param home where jobs are kept; made if it is missing, used by one server at a time
 * @param bind local address to listen on, such as {@code 0.0.0.0}
 * @param port TCP port; 0 picks a free one, -1 takes the kit's
 * @param maxModelBytes greatest initial weights that a job may bring; the bound of every update, too
 */
public record ServerConfig(Path kit, Path home, String bind, int port, long maxModelBytes) {
    /** 8 GiB: two thousand million float32 weights. */
    public static final long USUAL_MAX_MODEL_BYTES = 8L << 30;

    public ServerConfig {
        if (port < -1 || port > 65_535)
            throw new IllegalArgumentException("port is " + port + "; it must be from -1 to 65535");
        if (maxModelBytes < 1024)
            throw new IllegalArgumentException("max model bytes is " + maxModelBytes + "; it must be at least 1024");
    }

    /** The kit's port on all addresses, and the usual bound. */
    public static ServerConfig of(Path kit, Path home) {
        return new ServerConfig(kit, home, "0.0.0.0", -1, USUAL_MAX_MODEL_BYTES);
    }

    /** The same on another address and port. */
    public ServerConfig at(String bind, int port) {
        return new ServerConfig(kit, home, bind, port, maxModelBytes);
    }
}
