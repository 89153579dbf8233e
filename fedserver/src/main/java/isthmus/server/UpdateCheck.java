package isthmus.server;

import isthmus.tensor.HostMath;
import isthmus.wire.RefusalException;
import isthmus.wire.Sha256;
import isthmus.wire.UpdateHeader;
import java.io.IOException;
import java.lang.foreign.MemorySegment;

/** What an update must be before it may count: first its header, before any memory is taken; then its bytes. */
final class UpdateCheck {
    private UpdateCheck() {}

    /** Round, table, size and samples fit the job. */
    static void header(Job job, String site, UpdateHeader header) throws IOException {
        String where = job.where(header.round()) + ", site " + site;
        if (job.state.phase == JobState.Phase.RECEIVING)
            throw RefusalException.conflict("not_started", "the job has no weights yet", where,
                    "poll for a task first");
        if (job.state.phase == JobState.Phase.ENDED || header.round() != job.state.round)
            throw job.roundOver(site, header.round());
        if (!header.table().equals(job.state.global.table()))
            throw RefusalException.bad("wrong_table", "the update was made with weight table " + header.table()
                    + ", the job has " + job.state.global.table(), where,
                    "the site trains another model than the job: check its version and recipe");
        long bytes = job.table().exchanged().length() * Float.BYTES;
        if (header.bytes() != bytes)
            throw RefusalException.bad("bad_size", "the header claims " + header.bytes()
                    + " bytes; an update of this job has " + bytes, where,
                    "send the exchanged range of the weight table");
        if (header.samples() > job.spec.maxSamples())
            throw RefusalException.bad("bad_samples", "the header claims " + header.samples()
                    + " samples; the job takes at most " + job.spec.maxSamples(), where,
                    "check the site's count, or raise max_samples in the job");
    }

    /** All bytes are what was announced, every value is finite, and the update is not longer than the job allows. */
    static void bytes(Job job, String site, UpdateHeader header, Slot slot) {
        String where = job.where(header.round()) + ", site " + site;
        MemorySegment bytes = slot.bytes();
        String came = Sha256.of(bytes);
        if (!came.equals(header.sha256()))
            throw refuse(slot, "digest_mismatch", "the update has digest " + came + ", its header says "
                    + header.sha256(), where, "the update was changed after its header was made; send it anew");
        long values = bytes.byteSize() / Float.BYTES;
        long broken = HostMath.countNonFinite(bytes, values);
        if (broken > 0)
            throw refuse(slot, "not_finite", broken + " of " + values + " values are NaN or infinite", where,
                    "local training diverged: lower the learning rate or look at the data");
        double norm = Math.sqrt(HostMath.sumOfSquares(bytes, values));
        if (norm > job.spec.maxUpdateNorm())
            throw refuse(slot, "norm_too_large", "the update's L2 norm is " + norm + "; the job takes at most "
                    + job.spec.maxUpdateNorm(), where, "local training diverged, or max_update_norm is too small");
    }

    private static RefusalException refuse(Slot slot, String error, String what, String where, String cure) {
        slot.reset();
        return RefusalException.bad(error, what, where, cure);
    }
}
