package isthmus.client;

import isthmus.wire.Chunks;
import java.nio.file.Path;

/**
 * What a site's client needs.
 *
 * @param kit the site's kit, from {@code isthmus provision}
 * @param work folder for fetched weights; made if it is missing
 * @param host server's host instead of the kit's, or null
 * @param port server's port instead of the kit's, or 0
 * @param chunkBytes size of an upload's chunks, 64 KiB to 16 MiB
 */
public record ClientConfig(Path kit, Path work, String host, int port, int chunkBytes) {
    public ClientConfig {
        if (chunkBytes < Chunks.LEAST || chunkBytes > Chunks.MOST)
            throw new IllegalArgumentException("chunk size is " + chunkBytes + " bytes; it must be from " + Chunks.LEAST
                    + " to " + Chunks.MOST);
    }

    /** The kit's server and chunks of 1 MiB. */
    public static ClientConfig of(Path kit, Path work) {
        return new ClientConfig(kit, work, null, 0, Chunks.USUAL);
    }

    /** The same with the server elsewhere. */
    public ClientConfig at(String otherHost, int otherPort) {
        return new ClientConfig(kit, work, otherHost, otherPort, chunkBytes);
    }
}
