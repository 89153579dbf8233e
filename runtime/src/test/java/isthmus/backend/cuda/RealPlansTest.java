package isthmus.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.bindings.NativeException;
import isthmus.bindings.cuda.CudaLibraries;
import isthmus.bindings.cudnn.Cudnn;
import isthmus.graph.Gradients;
import isthmus.graph.Graph;
import isthmus.nn.Model;
import isthmus.op.Conv;
import isthmus.op.Kind;
import isthmus.op.Node;
import isthmus.op.Spec;
import isthmus.op.Value;
import isthmus.op.Window;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * What the real cuDNN, where it is found, says of our convolutions without a GPU: it plans for devices that are described to
 * it. Devices are those that {@code isthmus doctor --save-device-properties} has saved in bench/gpu/devices, and one whose
 * text was written from its data sheet.
 */
class RealPlansTest {
    private static final String DATA_SHEET = "h200-from-its-data-sheet.json";
    private static final Path SAVED = Path.of("..", "bench", "gpu", "devices");

    private final Cudnn cudnn = CudaLibraries.found().cudnn();

    @BeforeEach
    void isFound() {
        String why = cudnn.problem().or(() -> cudnn.version() < 90_800
                ? java.util.Optional.of("cuDNN " + cudnn.version() + " plans for no device that is not here")
                : java.util.Optional.empty()).orElse("");
        if (!why.isEmpty()) System.out.println("RealPlansTest: not run: " + why);
        Assumptions.assumeTrue(why.isEmpty(), why);
    }

    private static Map<String, String> devices() throws IOException {
        Map<String, String> all = new TreeMap<>();
        try (InputStream in = RealPlansTest.class.getResourceAsStream(DATA_SHEET)) {
            all.put(DATA_SHEET, new String(in.readAllBytes(), StandardCharsets.UTF_8));
        }
        if (!Files.isDirectory(SAVED)) return all;
        try (Stream<Path> files = Files.list(SAVED)) {
            for (Path file : files.filter(f -> f.toString().endsWith(".json")).toList())
                all.put(file.getFileName().toString(), Files.readString(file));
        }
        return all;
    }

    /** Every convolution of a network and of its gradients, once for each shape. */
    private static List<Node> convolutions(String name, int channels, int size, int batch) {
        Shape image = Zoo.takesVolumes(name)
                ? Shape.of(channels, size, size, size)
                : Shape.of(channels, size, size);
        Model model = Zoo.model(name, image, 2, ModelOptions.DEFAULT);
        Graph graph = model.graph(batch, true);
        Value logits = graph.outputs().get(Model.LOGITS);
        Gradients.append(graph, logits, graph.input("upstream", new Spec(logits.shape(), Kind.FLOAT)));
        Map<String, Node> all = new LinkedHashMap<>();
        for (Node n : graph.nodes())
            if (n.op() instanceof Conv || n.op() instanceof Conv.BackwardData || n.op() instanceof Conv.BackwardWeights)
                all.putIfAbsent(ConvProblem.of(n, v -> DType.F32).getFirst().key(), n);
        assertTrue(all.size() > 4, name + " has " + all.size() + " convolutions");
        return new ArrayList<>(all.values());
    }

    @ParameterizedTest
    @CsvSource({"convnet2,1,224,32", "resnet34,1,224,32", "resnet34,3,224,32", "densenet121,1,224,32",
            "efficientnet_b0,3,224,32", "xraynet,1,224,32", "segresnet,1,96,2", "retinanet3d,1,96,2"})
    void cudnnHasAPlanForEveryConvolution(String name, int channels, int size, int batch) throws IOException {
        List<Node> nodes = convolutions(name, channels, size, batch);
        for (var device : devices().entrySet()) {
            try (ConvTarget target = ConvTarget.described(cudnn, device.getValue())) {
                for (DType type : List.of(DType.F32, DType.F16, DType.BF16)) {
                    Map<Character, Integer> modes = new TreeMap<>();
                    for (Node n : nodes)
                        modes.merge(mode(target, ConvProblem.of(n, v -> type)), 1, Integer::sum);
                    System.out.printf("RealPlansTest: cuDNN %d, %s: %s %s, %d convolutions, best heuristics %s%n",
                            cudnn.version(), device.getKey(), name, type, nodes.size(), modes);
                }
            }
        }
    }

    /** The heuristics of the first engine that the backend would get, for the first of the problems that has one. */
    private static char mode(ConvTarget target, List<ConvProblem> problems) {
        for (ConvProblem p : problems) {
            try (ConvPlan plan = new ConvPlan(target, p, false)) {
                if (!plan.candidates().isEmpty()) return plan.candidates().getFirst().name().charAt(0);
            }
        }
        throw new AssertionError("cuDNN has no engine for " + problems.getFirst().key());
    }

    private static String text(String gpu, int capability, int multiprocessors, int shared, int blocks, int threads)
            throws IOException {
        return devices().get(DATA_SHEET).replace("H200", gpu).replace("\"deviceVer\": 900",
                "\"deviceVer\": " + capability).replace("132", "" + multiprocessors).replace("232448", "" + shared)
                .replace("\"maxCtasPerSM\": 32", "\"maxCtasPerSM\": " + blocks)
                .replace("\"maxThreadsPerSM\": 2048", "\"maxThreadsPerSM\": " + threads);
    }

    /** Turing to Blackwell, by what their data sheets say beside what is common to all: bf16 came with Ampere. */
    @ParameterizedTest
    @CsvSource({"T4,750,40,65536,16,1024", "A100,800,108,166912,32,2048", "RTX 4090,890,128,101376,24,1536",
            "B200,1000,148,232448,32,2048", "RTX 5090,1200,170,101376,24,1536"})
    void cudnnHasAPlanOnEveryGeneration(String gpu, int capability, int multiprocessors, int shared, int blocks,
            int threads) throws IOException {
        String text = text(gpu, capability, multiprocessors, shared, blocks, threads);
        final int ampere = 800;
        try (ConvTarget target = ConvTarget.described(cudnn, text)) {
            for (String line : List.of("resnet34,3,224,32", "efficientnet_b0,3,224,32", "segresnet,1,96,2")) {
                String[] s = line.split(",", -1);
                List<Node> nodes = convolutions(s[0], Integer.parseInt(s[1]), Integer.parseInt(s[2]),
                        Integer.parseInt(s[3]));
                for (DType type : capability < ampere
                        ? List.of(DType.F32, DType.F16)
                        : List.of(DType.F32, DType.F16, DType.BF16)) {
                    Map<Character, Integer> modes = new TreeMap<>();
                    for (Node n : nodes)
                        modes.merge(mode(target, ConvProblem.of(n, v -> type)), 1, Integer::sum);
                    System.out.printf("RealPlansTest: cuDNN %d, %s: %s %s, %d convolutions, best heuristics %s%n",
                            cudnn.version(), gpu, s[0], type, nodes.size(), modes);
                }
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"resnet34,1,64,2", "efficientnet_b0,3,64,2", "segresnet,1,32,1"})
    void cudnnTakesOurSizesAndNoOthers(String name, int channels, int size, int batch) throws IOException {
        try (ConvTarget target = ConvTarget.described(cudnn, devices().get(DATA_SHEET))) {
            for (Node n : convolutions(name, channels, size, batch)) {
                ConvProblem p = ConvProblem.of(n, v -> DType.F16).getLast();
                try (ConvPlan plan = new ConvPlan(target, p, false)) {
                    assertFalse(plan.candidates().isEmpty(), p.key());
                }
                for (int axis = 1; axis < p.y().rank(); axis++) {
                    int[] dims = p.y().dims();
                    dims[axis]++;
                    ConvProblem wrong = new ConvProblem(p.direction(), p.window(), p.x(), p.w(), Shape.of(dims),
                            p.type(), p.result());
                    assertTrue(isRefused(target, wrong), wrong.key() + " y" + wrong.y());
                }
            }
        }
    }

    private static boolean isRefused(ConvTarget target, ConvProblem p) {
        try (ConvPlan plan = new ConvPlan(target, p, false)) {
            return plan.candidates().isEmpty();
        } catch (NativeException e) {
            return true;
        }
    }

    /**
     * DenseNet's layers write 32 channels into a wide block, and read their gradients from one, without a copy: cuDNN has
     * engines for them by its best heuristics, as for a value of its own; nearly always the same ones.
     */
    @ParameterizedTest
    @CsvSource({"H200,900,132,232448,32,2048", "T4,750,40,65536,16,1024", "A100,800,108,166912,32,2048",
            "RTX 4090,890,128,101376,24,1536", "B200,1000,148,232448,32,2048", "RTX 5090,1200,170,101376,24,1536"})
    void cudnnHasEnginesForChannelsOfAWideBlock(String gpu, int capability, int multiprocessors, int shared,
            int blocks, int threads) throws IOException {
        final int growth = 32;
        Map<Integer, Integer> widths = Map.of(56, 256, 28, 512, 14, 1024, 7, 1024);
        try (ConvTarget target = ConvTarget.described(cudnn,
                text(gpu, capability, multiprocessors, shared, blocks, threads))) {
            int plans = 0;
            int all = 0;
            int others = 0;
            for (Node n : convolutions("densenet121", 3, 224, 256)) {
                ConvProblem packed = ConvProblem.of(n, v -> DType.F16).getLast();
                if (packed.y().dim(1) != growth) continue;
                ConvProblem apart = packed.apart(packed.ldx(), widths.get(packed.y().dim(3)));
                List<String> names = names(target, apart);
                assertFalse(names.isEmpty(), apart.key());
                List<String> own = names(target, packed);
                assertEquals(own.getFirst().charAt(0), names.getFirst().charAt(0), apart.key());
                plans += names.size();
                if (!own.equals(names)) others++;
                all++;
            }
            System.out.printf(
                    "RealPlansTest: cuDNN %d, %s: %d plans for %d convolutions on channels of DenseNet's blocks;"
                            + " of %d the list differs from that of values of their own%n",
                    cudnn.version(), gpu, plans, all,
                    others);
        }
    }

    private List<String> names(ConvTarget target, ConvProblem p) {
        try (ConvPlan plan = new ConvPlan(target, p, false)) {
            return plan.candidates().stream().map(ConvPlan.Candidate::name).toList();
        }
    }

    /** Without TF32, no engine of tensor cores; with it, they come first. */
    @Test
    void float32IsRoundedToTf32OnlyIfAllowed() throws IOException {
        ConvProblem p = new ConvProblem(ConvProblem.Direction.FORWARD, Window.of(2, 3, 1, 1), Shape.of(32, 64, 56, 56),
                Shape.of(64, 64, 3, 3), Shape.of(32, 64, 56, 56), DType.F32, DType.F32);
        try (ConvTarget target = ConvTarget.described(cudnn, devices().get(DATA_SHEET));
                ConvPlan exact = new ConvPlan(target, p, false);
                ConvPlan rounded = new ConvPlan(target, p, true)) {
            assertNotEquals(exact.candidates().getFirst().name(), rounded.candidates().getFirst().name());
            List<String> common = exact.candidates().stream().map(ConvPlan.Candidate::name)
                    .filter(rounded.candidates().stream().map(ConvPlan.Candidate::name).toList()::contains).toList();
            assertEquals(List.of(), common);
            assertTrue(exact.candidates().getFirst().name().startsWith("A"), exact.candidates().toString());
        }
    }

    @Test
    void aTextThatDescribesNoDeviceIsRefused() {
        String message = org.junit.jupiter.api.Assertions
                .assertThrows(NativeException.class, () -> ConvTarget.described(cudnn, "{}")).getMessage();
        assertTrue(message.contains("BAD_PARAM"), message);
    }
}
