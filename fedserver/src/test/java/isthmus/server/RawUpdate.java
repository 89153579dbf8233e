package isthmus.server;

import isthmus.tensor.WeightTable;
import isthmus.wire.Kit;
import isthmus.wire.Link;
import isthmus.wire.Role;
import isthmus.wire.Sha256;
import isthmus.wire.UpdateHeader;
import isthmus.wire.UploadState;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Map;

/** A site's update of round 1 step by step, right unless a test makes it wrong. */
final class RawUpdate {
    final Link link;
    final MemorySegment bytes;
    final String job;
    UpdateHeader header;

    RawUpdate(TestFederation federation, String site, int number, long samples, String job) throws IOException {
        this.link = new Link(Kit.open(federation.siteKit(site), Role.SITE));
        this.job = job;
        WeightTable.Range range = TestFederation.TABLE.exchanged();
        this.bytes = Arena.ofAuto().allocate(range.length() * Float.BYTES, 64);
        for (long i = 0; i < range.length(); i++) {
            float weight = TestFederation.initial(range.offset() + i);
            bytes.setAtIndex(ValueLayout.JAVA_FLOAT, i, SimulatedTrainer.trained(weight, number, i) - weight);
        }
        announce(samples);
    }

    /** Makes a header that fits the bytes as they are now. */
    RawUpdate announce(long samples) {
        header = new UpdateHeader(1, TestFederation.TABLE.digest(), bytes.byteSize(), Sha256.of(bytes), 64 << 10,
                samples,
                Map.of("loss", 1.0));
        return this;
    }

    UploadState begin() throws IOException, InterruptedException {
        return link.post("/v1/jobs/" + job + "/updates", header, UploadState.class);
    }

    MemorySegment slice(int chunk) {
        return bytes.asSlice(header.chunks().offset(chunk), header.chunks().length(chunk));
    }

    void chunk(int chunk) throws IOException, InterruptedException {
        link.putChunk(path(chunk), slice(chunk), Sha256.of(slice(chunk)));
    }

    String path(int chunk) { return "/v1/jobs/" + job + "/updates/" + header.round() + "/chunks/" + chunk; }

    UploadState commit() throws IOException, InterruptedException {
        return link.post("/v1/jobs/" + job + "/updates/" + header.round() + "/commit", "", UploadState.class);
    }

    UploadState sendAll() throws IOException, InterruptedException {
        UploadState state = begin();
        if (state.accepted())
            return state;
        for (int i = 0; i < header.chunks().count(); i++)
            chunk(i);
        return commit();
    }
}
