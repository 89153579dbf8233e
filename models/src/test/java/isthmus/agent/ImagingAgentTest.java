package isthmus.agent;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.StringStringEntryProto;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtProvider;
import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.data.GreyImage;
import isthmus.data.ImageReader;
import isthmus.data.Preprocess;
import isthmus.graph.Fuse;
import isthmus.nn.Model;
import isthmus.onnx.OnnxFacts;
import isthmus.tensor.Shape;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Exported networks in ONNX Runtime against the runtime's own CPU backend, and files that are not to be trusted. */
class ImagingAgentTest {
    private static final int BATCH = 3;

    @TempDir
    Path folder;

    private static Model model(String name, Preprocess p) {
        return Zoo.model(name, Shape.of(p.channels(), p.size(), p.size()), 2, ModelOptions.dropout(0.2));
    }

    private Exported exported(String network, Preprocess p, OnnxFacts.Decision decision) {
        return new Exported(folder.resolve(network + ".onnx"), model(network, p).graph(1, false), p, decision);
    }

    @ParameterizedTest
    @CsvSource({"convnet2, 1, 32", "convnet2, 3, 28", "xraynet, 1, 64", "xraynet, 3, 33", "resnet34, 3, 64"})
    void networksAgreeWithTheRuntime(String network, int channels, int size) {
        Preprocess p = channels == 1 ? Preprocess.grey(size) : Preprocess.imageNet(size);
        try (Exported exported = exported(network, p, OnnxFacts.Decision.SIGMOID);
                Backend backend = Backends.cpu(2);
                ImagingAgent agent = ImagingAgent.open(exported.file, 2, false);
                OnnxCheck check = new OnnxCheck(agent, BATCH)) {
            MemorySegment pictures = exported.pictures(BATCH, p.elements());
            float[] logits = exported.logits(Fuse.apply(model(network, p).graph(BATCH, false)), pictures, backend);
            check.compare(pictures, BATCH, logits, 0);
            assertTrue(check.maxAbsDifference() <= 1e-4, network + ": off by " + check.maxAbsDifference());
            // Agreement proves something only where it is far closer than one picture's logits are to another's.
            float spread = Math.abs(logits[0] - logits[2]) + Math.abs(logits[1] - logits[3]);
            assertTrue(check.maxAbsDifference() * 100 <= spread,
                    network + ": off by " + check.maxAbsDifference() + ", pictures differ by " + spread);
        }
    }

    @Test
    void aFileSaysWhatItIs() {
        try (Exported exported = exported("xraynet", Preprocess.grey(32), OnnxFacts.Decision.SOFTMAX);
                ImagingAgent agent = ImagingAgent.open(exported.file, 1, false)) {
            ModelCard card = agent.card();
            assertEquals(List.of("finding 0", "finding 1"), card.labels());
            assertEquals(Preprocess.grey(32), card.preprocess());
            assertEquals(Map.of("rounds", "3"), card.provenance());
            assertEquals(OnnxFacts.Decision.SOFTMAX, card.decision());
            assertEquals(17, card.opset());
            assertEquals("isthmus", card.producer());
            assertEquals("cpu", agent.device());
            assertTrue(agent.notice().isEmpty());
        }
    }

    /** With the CPU artifact nothing is said; with the GPU artifact it runs there, or one line says why not. */
    @Test
    void theGpuIsChosenWhereItLoads() {
        boolean present = OrtEnvironment.getAvailableProviders().contains(OrtProvider.CUDA);
        Preprocess p = Preprocess.grey(32);
        try (Exported exported = exported("xraynet", p, OnnxFacts.Decision.SIGMOID);
                Backend backend = Backends.cpu(1);
                ImagingAgent agent = ImagingAgent.open(exported.file, 1);
                OnnxCheck check = new OnnxCheck(agent, BATCH)) {
            agent.notice().ifPresent(System.out::println);
            assertEquals(present, agent.device().equals("cuda") || agent.notice().isPresent());
            agent.notice().ifPresent(line -> assertEquals(1, line.lines().count(), line));
            MemorySegment pictures = exported.pictures(BATCH, p.elements());
            check.compare(pictures, BATCH,
                    exported.logits(model("xraynet", p).graph(BATCH, false), pictures, backend), 0);
            double tolerance = agent.device().equals("cuda") ? 1e-2 : 1e-4; // TF32 on the GPU
            assertTrue(check.maxAbsDifference() <= tolerance, "off by " + check.maxAbsDifference());
        }
    }

    /** From the file on disk to findings, against preprocessing and network done by hand. */
    @ParameterizedTest
    @CsvSource({"1, SIGMOID", "3, SOFTMAX"})
    void anImageFileGivesFindings(int channels, OnnxFacts.Decision decision) throws IOException {
        Preprocess p = channels == 1 ? Preprocess.grey(32) : Preprocess.imageNet(32);
        Path image = picture();
        try (Exported exported = exported("xraynet", p, decision);
                Backend backend = Backends.cpu(1);
                ImagingAgent agent = ImagingAgent.open(exported.file, 1, false);
                Arena arena = Arena.ofConfined()) {
            GreyImage read = new ImageReader().read(image);
            MemorySegment input = arena.allocate((long) p.elements() * Float.BYTES, 64);
            p.apply(read, input, 0);
            float[] logits = exported.logits(model("xraynet", p).graph(1, false), input, backend);
            List<Finding> findings = agent.infer(image);
            assertEquals(2, findings.size());
            double sum = Math.exp(logits[0]) + Math.exp(logits[1]);
            for (int i = 0; i < 2; i++) {
                double sure = decision == OnnxFacts.Decision.SOFTMAX
                        ? Math.exp(logits[i]) / sum
                        : 1 / (1 + Math.exp(-logits[i]));
                assertEquals("finding " + i, findings.get(i).label());
                assertEquals(logits[i], findings.get(i).logit(), 1e-4);
                assertEquals(sure, findings.get(i).probability(), 1e-5);
            }
        }
    }

    private Path picture() throws IOException {
        BufferedImage image = new BufferedImage(60, 50, BufferedImage.TYPE_BYTE_GRAY);
        for (int y = 0; y < 50; y++)
            for (int x = 0; x < 60; x++)
                image.getRaster().setSample(x, y, 0, (x * 7 + y * 3 + x * y) % 256);
        Path file = folder.resolve("picture.png");
        ImageIO.write(image, "png", file.toFile());
        return file;
    }

    @Test
    void whatIsNoModelIsRefused() throws IOException {
        Path text = Files.writeString(folder.resolve("text.onnx"), "this is no model");
        assertRefused(text, "text.onnx", "no ONNX model");
        assertRefused(Files.createFile(folder.resolve("empty.onnx")), "empty.onnx", "no ONNX model");
        assertRefused(folder.resolve("absent.onnx"), "absent.onnx", "no such file");
        try (Exported exported = exported("xraynet", Preprocess.grey(32), OnnxFacts.Decision.SIGMOID)) {
            byte[] whole = Files.readAllBytes(exported.file);
            Path half = Files.write(folder.resolve("half.onnx"), java.util.Arrays.copyOf(whole, whole.length / 2));
            assertRefused(half, "half.onnx", "no ONNX model");
        }
    }

    /** Each of our metadata keys is named when it is missing, and when it holds rubbish. */
    @Test
    void metadataThatIsMissingOrNotUnderstoodIsNamed() throws IOException {
        try (Exported exported = exported("xraynet", Preprocess.grey(32), OnnxFacts.Decision.SIGMOID)) {
            ModelProto model = ModelProto.parseFrom(Files.readAllBytes(exported.file));
            for (String key : Set.of(OnnxFacts.LABELS, OnnxFacts.PREPROCESSING, OnnxFacts.DECISION, OnnxFacts.OPSET)) {
                assertRefused(changed(model, key, null), "changed.onnx", "has no " + key);
                assertRefused(changed(model, key, "[rubbish"), "changed.onnx", key + " is not understood");
            }
        }
    }

    @Test
    void shapesThatContradictTheMetadataAreRefused() throws IOException {
        try (Exported exported = exported("xraynet", Preprocess.grey(32), OnnxFacts.Decision.SIGMOID)) {
            ModelProto model = ModelProto.parseFrom(Files.readAllBytes(exported.file));
            assertRefused(changed(model, OnnxFacts.PREPROCESSING, Preprocess.grey(48).toJson()), "input 'image'",
                    "[-1, 1, 48, 48]");
            assertRefused(changed(model, OnnxFacts.LABELS, "[\"a\",\"b\",\"c\"]"), "output 'logits'", "[-1, 3]");
        }
    }

    private Path changed(ModelProto model, String key, String value) throws IOException {
        ModelProto.Builder b = model.toBuilder().clearMetadataProps();
        for (StringStringEntryProto e : model.getMetadataPropsList()) {
            if (!e.getKey().equals(key)) b.addMetadataProps(e);
            else if (value != null) b.addMetadataProps(e.toBuilder().setValue(value));
        }
        return Files.write(folder.resolve("changed.onnx"), b.build().toByteArray());
    }

    private static void assertRefused(Path file, String... words) {
        AgentException e = assertThrows(AgentException.class, () -> ImagingAgent.open(file, 1, false).close());
        for (String w : words)
            assertTrue(e.getMessage().contains(w), e.getMessage());
        assertEquals(1, e.getMessage().lines().count(), e.getMessage());
    }

    @Test
    void memoryThatIsTooSmallIsRefusedBeforeAnythingRuns() {
        Preprocess p = Preprocess.grey(32);
        try (Exported exported = exported("xraynet", p, OnnxFacts.Decision.SIGMOID);
                ImagingAgent agent = ImagingAgent.open(exported.file, 1, false);
                Arena arena = Arena.ofConfined()) {
            MemorySegment images = arena.allocate(2L * p.elements() * Float.BYTES, 64);
            MemorySegment out = arena.allocate(64, 64);
            agent.infer(images, 2, out, out.asSlice(16));
            AgentException e = assertThrows(AgentException.class, () -> agent.infer(images, 3, out, out.asSlice(32)));
            assertTrue(e.getMessage().contains("[3, 1, 32, 32]"), e.getMessage());
            assertThrows(AgentException.class, () -> agent.infer(images, 0, out, out.asSlice(32)));
            MemorySegment heap = MemorySegment.ofArray(new float[2 * p.elements()]);
            assertThrows(AgentException.class, () -> agent.infer(heap, 2, out, out.asSlice(32)));
        }
    }
}
