package isthmus.server;

import isthmus.wire.Chunks;
import isthmus.wire.RefusalException;
import isthmus.wire.UpdateHeader;
import isthmus.wire.UploadState;
import java.io.IOException;
import java.util.List;
import java.util.TreeMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The updates of a job on their way in: begun, staged chunk by chunk in one slot a site, verified, accepted once. */
final class Uploads implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Uploads.class);
    private final Job job;
    private final Desk desk;
    /** Slots and headers by site; guarded by the desk's lock. */
    private final TreeMap<String, Slot> slots = new TreeMap<>();
    private final TreeMap<String, UpdateHeader> begun = new TreeMap<>();

    Uploads(Job job, Desk desk) {
        this.job = job;
        this.desk = desk;
    }

    /** Announces an update. The same one again goes on where it was; an accepted one is acknowledged, not counted again. */
    UploadState begin(String site, UpdateHeader header) throws IOException {
        if (desk.locked(() -> job.state.wasAccepted(site, header.round(), header.sha256())))
            return new UploadState(job.id, true, List.of());
        UpdateCheck.header(job, site, header);
        Slot slot = desk.locked(() -> slots.computeIfAbsent(site, this::slot));
        slot.deciding.lock();
        try {
            boolean accepted = desk.locked(() -> isAccepted(site, header.round(), header.sha256()));
            if (!accepted) {
                slot.begin(header.sha256(), header.chunks());
                desk.locked(() -> {
                    begun.put(site, header);
                    job.members.uploading(site, System.nanoTime());
                });
            }
            return slot.state(job.id, accepted);
        } finally {
            slot.deciding.unlock();
        }
    }

    private Slot slot(String site) { return new Slot(job.folder.slots(), site, job.where(site)); }

    /** Opens a chunk of a site's update. */
    Slot.Writer chunk(String site, int round, int chunk, String sha256, long length) {
        Slot slot = desk.locked(() -> {
            job.requireOpen(site, round);
            if (job.state.accepted.containsKey(site))
                throw RefusalException.conflict("already_accepted", "this round's update is accepted", job.where(site),
                        "nothing is left to send");
            begunHeader(site, round);
            return slots.get(site);
        });
        return slot.write(chunk, sha256, length);
    }

    /** A chunk has been verified. */
    void progressed(String site) {
        desk.locked(() -> job.members.uploading(site, System.nanoTime()));
    }

    /** Verifies a complete update and journals it; only then is it acknowledged, and only once. */
    UploadState commit(String site, int round) throws IOException {
        Slot slot = desk.locked(() -> {
            begunHeader(site, round);
            return slots.get(site);
        });
        slot.deciding.lock();
        try {
            UpdateHeader header = desk.locked(() -> begunHeader(site, round));
            boolean done = desk.locked(() -> {
                job.members.uploading(site, System.nanoTime());
                return isAccepted(site, round, header.sha256());
            });
            if (done || !slot.isComplete())
                return slot.state(job.id, done);
            UpdateCheck.bytes(job, site, header, slot);
            slot.force();
            desk.locked(() -> accept(site, header));
            return slot.state(job.id, true);
        } finally {
            slot.deciding.unlock();
        }
    }

    private void accept(String site, UpdateHeader header) {
        job.requireOpen(site, header.round());
        double seconds = job.members.secondsSinceTaken(site, System.nanoTime());
        job.record(new Event.Accepted(header.round(), site, header.samples(), header.bytes(), header.sha256(),
                header.chunkBytes(), seconds, header.metrics()));
        LOG.info("job {} round {} site {}: update accepted, {} samples, {} bytes, sha256 {}", job.id, header.round(),
                site, header.samples(), header.bytes(), header.sha256());
    }

    private boolean isAccepted(String site, int round, String sha256) {
        Event.Accepted before = job.state.accepted.get(site);
        if (before == null || before.round() != round) {
            job.requireOpen(site, round);
            return false;
        }
        if (!before.sha256().equals(sha256))
            throw RefusalException.conflict("already_accepted",
                    "another update of this site is accepted for this round", job.where(site),
                    "poll for the next task");
        return true;
    }

    private UpdateHeader begunHeader(String site, int round) {
        UpdateHeader header = begun.get(site);
        if (header != null && header.round() == round)
            return header;
        if (round != job.state.round)
            throw job.roundOver(site, round);
        throw RefusalException.conflict("not_begun", "no update was begun", job.where(site),
                "begin it with its header; the server may have been restarted");
    }

    /** Finds an accepted update's bytes after a restart; false if they are not those that were accepted. */
    boolean recover(Event.Accepted accepted) throws IOException {
        Slot slot = slot(accepted.site());
        slots.put(accepted.site(), slot);
        return slot.recover(accepted.sha256(), new Chunks(accepted.bytes(), accepted.chunkBytes()));
    }

    /** The round's accepted updates as they lie in their slots. They stay there until the next round opens. */
    Slots accepted() {
        return desk.locked(() -> new Slots(job.state.accepted.values().stream()
                .map(a -> new Slots.Update(a.site(), a.samples(), slots.get(a.site()).bytes())).toList()));
    }

    /** A round was closed: what was begun for it is over. Called under the lock. */
    void forgetBegun() {
        begun.clear();
    }

    @Override
    public void close() { slots.values().forEach(Slot::close); }
}
