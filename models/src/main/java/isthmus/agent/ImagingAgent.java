package isthmus.agent;

import ai.onnxruntime.NodeInfo;
import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxModelMetadata;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.TensorInfo;
import isthmus.data.GreyImage;
import isthmus.data.ImageReader;
import isthmus.data.Preprocess;
import isthmus.nn.Model;
import isthmus.onnx.OnnxExporter;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * An exported model, ready to read images. Everything that it needs beside the image comes from the file's metadata, and the
 * preprocessing is training's own code. Safe for use by several threads.
 */
public final class ImagingAgent implements AutoCloseable {
    private final String file;
    private final Inference inference;
    private final ModelCard card;
    private final ImageReader reader = new ImageReader();

    private ImagingAgent(String file, Inference inference) throws OrtException {
        this.file = file;
        this.inference = inference;
        OnnxModelMetadata metadata = inference.session().getMetadata();
        this.card = ModelCard.of(file, metadata.getGraphName(), metadata.getProducerName(),
                metadata.getCustomMetadata());
        Preprocess p = card.preprocess();
        expect("input", inference.session().getInputInfo(), Model.IMAGE, -1, p.channels(), p.size(), p.size());
        expect("output", inference.session().getOutputInfo(), Model.LOGITS, -1, card.labels().size());
        expect("output", inference.session().getOutputInfo(), OnnxExporter.PROBABILITIES, -1, card.labels().size());
    }

    /** Opens a model on the CPU, or on the GPU where ONNX Runtime's GPU artifact is present and loads. */
    public static ImagingAgent open(Path model, int threads) {
        return open(model, threads, true);
    }

    /**
     * Opens a model.
     *
     * @param threads the most threads that one inference computes with
     * @param gpu whether to try the GPU
     * @throws AgentException if the file is missing, no ONNX model, or not one that isthmus exported
     */
    public static ImagingAgent open(Path model, int threads, boolean gpu) {
        if (threads < 1) throw new AgentException("inference with " + threads + " threads; use at least 1");
        if (!Files.isRegularFile(model)) throw new AgentException(model + ": no such file; export a model first");
        Inference inference = Inference.open(model, threads, gpu);
        try {
            return new ImagingAgent(model.toString(), inference);
        } catch (AgentException | OrtException e) {
            close(inference.session());
            if (e instanceof AgentException a) throw a;
            throw new AgentException(model + ": " + e.getMessage(), e);
        }
    }

    private void expect(String what, Map<String, NodeInfo> all, String name, long... shape) {
        NodeInfo node = all.get(name);
        String wanted = "float32 " + Arrays.toString(shape);
        if (node == null)
            throw new AgentException(file + ": has no " + what + " '" + name + "' of " + wanted + "; it has "
                    + all.keySet() + "; use a file that isthmus exported");
        if (!(node.getInfo() instanceof TensorInfo t) || t.type != OnnxJavaType.FLOAT
                || !Arrays.equals(t.getShape(), shape))
            throw new AgentException(file + ": its " + what + " '" + name + "' is " + node.getInfo()
                    + ", but its metadata ask for " + wanted + "; export it again");
    }

    /** What the model says of itself. */
    public ModelCard card() { return card; }

    /** Where it runs: {@code cpu} or {@code cuda}. */
    public String device() { return inference.device(); }

    /** One line on why the GPU is not used although its library is there. */
    public Optional<String> notice() {
        return inference.notice();
    }

    /** Reads an image file and gives one finding a label, in the model's order. */
    public List<Finding> infer(Path image) {
        return infer(reader.read(image));
    }

    /** Gives one finding a label, in the model's order. */
    public List<Finding> infer(GreyImage image) {
        Preprocess p = card.preprocess();
        int labels = card.labels().size();
        try (Arena arena = Arena.ofShared()) {
            MemorySegment picture = arena.allocate((long) p.elements() * Float.BYTES, 64);
            MemorySegment logits = arena.allocate((long) labels * Float.BYTES, 64);
            MemorySegment probabilities = arena.allocate((long) labels * Float.BYTES, 64);
            p.apply(image, picture, 0);
            inferChannelsLast(picture, 1, logits, probabilities);
            List<Finding> findings = new ArrayList<>();
            for (int i = 0; i < labels; i++)
                findings.add(new Finding(card.labels().get(i), probabilities.getAtIndex(ValueLayout.JAVA_FLOAT, i),
                        logits.getAtIndex(ValueLayout.JAVA_FLOAT, i)));
            return findings;
        }
    }

    /** As {@link #infer(MemorySegment, int, MemorySegment, MemorySegment)}, for pictures as training has them: {@code [N,H,W,C]}. */
    public void inferChannelsLast(MemorySegment images, int count, MemorySegment logits, MemorySegment probabilities) {
        Preprocess p = card.preprocess();
        if (p.channels() == 1) {
            infer(images, count, logits, probabilities);
            return;
        }
        try (Arena arena = Arena.ofShared()) {
            MemorySegment nchw = arena.allocate((long) count * p.elements() * Float.BYTES, 64);
            Nchw.of(images, nchw, count, p.size() * p.size(), p.channels());
            infer(nchw, count, logits, probabilities);
        }
    }

    /**
     * Runs one batch on the caller's memory; nothing is copied on the CPU.
     *
     * @param images preprocessed, float32 {@code [count,C,H,W]}, off the heap
     * @param logits room for float32 {@code [count,labels]}, off the heap
     * @param probabilities room for as many
     */
    public void infer(MemorySegment images, int count, MemorySegment logits, MemorySegment probabilities) {
        Preprocess p = card.preprocess();
        int labels = card.labels().size();
        if (count < 1) throw new AgentException("a batch of " + count + " images; give at least 1");
        try (OnnxTensor in = tensor("images", images, count, p.channels(), p.size(), p.size());
                OnnxTensor raw = tensor("logits", logits, count, labels);
                OnnxTensor sure = tensor("probabilities", probabilities, count, labels);
                OrtSession.Result result = inference.session().run(Map.of(Model.IMAGE, in),
                        Map.of(Model.LOGITS, raw, OnnxExporter.PROBABILITIES, sure))) {
            if (result.size() != 2) throw new AgentException(file + ": gave " + result.size() + " results, not 2");
        } catch (OrtException e) {
            throw new AgentException(
                    file + ": inference of " + count + " images failed: " + Inference.firstLine(e), e);
        }
    }

    private OnnxTensor tensor(String what, MemorySegment memory, long... shape) throws OrtException {
        long bytes = Arrays.stream(shape).reduce(Float.BYTES, Math::multiplyExact);
        if (!memory.isNative() || memory.byteSize() < bytes || bytes > Integer.MAX_VALUE)
            throw new AgentException("the memory for " + what + " is " + memory.byteSize() + " bytes "
                    + (memory.isNative() ? "off" : "on") + " the heap; float32 " + Arrays.toString(shape) + " takes "
                    + bytes + ", off the heap and under 2 GiB");
        return OnnxTensor.createTensor(inference.environment(),
                memory.asSlice(0, bytes).asByteBuffer().order(ByteOrder.nativeOrder()).asFloatBuffer(), shape);
    }

    private static void close(OrtSession session) {
        try {
            session.close();
        } catch (OrtException e) {
            throw new AgentException("closing ONNX Runtime's session failed: " + e.getMessage(), e);
        }
    }

    @Override
    public void close() { close(inference.session()); }
}
