package isthmus.agent;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import isthmus.nn.Model;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/** An ONNX file of any model of ours, pictures or volumes, run by ONNX Runtime on the CPU on the caller's memory. */
public final class OnnxRun implements AutoCloseable {
    private final Path file;
    private final Inference inference;

    private OnnxRun(Path file, Inference inference) {
        this.file = file;
        this.inference = inference;
    }

    /** Opens a file. */
    public static OnnxRun open(Path file, int threads) {
        return new OnnxRun(file, Inference.open(file, threads, false));
    }

    /** Room for an output. */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    public record Room(MemorySegment memory, long[] shape) {}

    /** Names of the file's outputs. */
    public Set<String> outputs() { return inference.session().getOutputNames(); }

    /**
     * Runs one batch.
     *
     * @param images float32 in the logical order {@code [N,C,...]}, off the heap
     * @param outputs where each named output goes, float32 in the logical order, off the heap
     */
    public void run(MemorySegment images, long[] shape, Map<String, Room> outputs) {
        Map<String, OnnxTensor> pinned = new LinkedHashMap<>();
        try (OnnxTensor in = tensor(images, shape)) {
            for (Map.Entry<String, Room> e : outputs.entrySet())
                pinned.put(e.getKey(), tensor(e.getValue().memory, e.getValue().shape));
            try (OrtSession.Result result = inference.session().run(Map.of(Model.IMAGE, in), pinned)) {
                if (result.size() != outputs.size())
                    throw new AgentException(file + ": gave " + result.size() + " results, not " + outputs.size());
            }
        } catch (OrtException e) {
            throw new AgentException(file + ": inference of " + Arrays.toString(shape) + " failed: "
                    + Inference.firstLine(e), e);
        } finally {
            pinned.values().forEach(OnnxTensor::close);
        }
    }

    private OnnxTensor tensor(MemorySegment memory, long... shape) throws OrtException {
        long bytes = Arrays.stream(shape).reduce(Float.BYTES, Math::multiplyExact);
        if (bytes > Integer.MAX_VALUE || memory.byteSize() < bytes)
            throw new AgentException(file + ": float32 " + Arrays.toString(shape) + " takes " + bytes
                    + " bytes; there are " + memory.byteSize() + ", and at most 2 GiB can be handed over");
        return OnnxTensor.createTensor(inference.environment(),
                memory.asSlice(0, bytes).asByteBuffer().order(ByteOrder.nativeOrder()).asFloatBuffer(), shape);
    }

    @Override
    public void close() {
        try {
            inference.session().close();
        } catch (OrtException e) {
            throw new AgentException("closing ONNX Runtime's session failed: " + e.getMessage(), e);
        }
    }
}
