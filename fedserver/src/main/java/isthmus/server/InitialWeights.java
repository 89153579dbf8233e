package isthmus.server;

import isthmus.tensor.HostMath;
import isthmus.tensor.Safetensors;
import isthmus.tensor.SafetensorsException;
import isthmus.wire.AtomicFiles;
import isthmus.wire.RefusalException;
import isthmus.wire.Sha256;
import isthmus.wire.SubmitHeader;
import isthmus.wire.Task;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** Turns a complete upload into a job's first global weights, once its digest, its header and its values are good. */
record InitialWeights(Job job) {
    Task.Weights accept(Slot upload, SubmitHeader header) throws IOException {
        String came = Sha256.of(upload.bytes());
        if (!came.equals(header.sha256()))
            throw refuse(upload, "digest_mismatch", "the weights have digest " + came + ", the header says "
                    + header.sha256(), "the file was changed while it was sent; submit again");
        Path file = job.folder.global(0);
        Path fresh = file.resolveSibling(file.getFileName() + ".new");
        copy(upload.bytes(), fresh);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment values = Safetensors.map(fresh, arena).weights().segment();
            long broken = HostMath.countNonFinite(values, values.byteSize() / Float.BYTES);
            if (broken > 0)
                throw refuse(upload, "not_finite", broken + " of the initial weights are NaN or infinite",
                        "submit other weights");
        } catch (SafetensorsException e) {
            throw refuse(upload, "bad_weights", "not a sound safetensors file: " + e.getMessage().replace(
                    fresh.toString(), "the upload"), "submit float32 weights in safetensors");
        }
        AtomicFiles.move(fresh, file);
        return job.folder.describe(0);
    }

    private static void copy(MemorySegment bytes, Path file) throws IOException {
        try (FileChannel out = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING,
                StandardOpenOption.WRITE)) {
            for (long at = 0; at < bytes.byteSize(); at += 1 << 24) {
                ByteBuffer step = bytes.asSlice(at, Math.min(1 << 24, bytes.byteSize() - at)).asByteBuffer();
                while (step.hasRemaining())
                    out.write(step);
            }
            out.force(true);
        } catch (IOException e) {
            Files.deleteIfExists(file);
            throw e;
        }
    }

    private RefusalException refuse(Slot upload, String error, String what, String cure) {
        upload.reset();
        return RefusalException.bad(error, what, job.where(0) + ", initial weights", cure);
    }
}
