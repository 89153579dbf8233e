package isthmus.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.StringStringEntryProto;
import isthmus.nn.Adaptation;
import isthmus.nn.Lora;
import isthmus.nn.Model;
import isthmus.task.Recipe;
import isthmus.tensor.Safetensors;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** From weights of any origin to a file that ONNX Runtime answers the same for, and what is refused on the way. */
class ExportTest {
    @TempDir
    Path folder;

    private record Said(int code, JsonNode json, String err) {}

    /** Runs a command with --json; its result goes to the process's standard output. */
    private static synchronized Said run(String... args) {
        var err = new StringWriter();
        var out = new ByteArrayOutputStream();
        PrintStream before = System.out;
        System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
        try {
            int code = Main.commandLine().setErr(new PrintWriter(err, true)).execute(args);
            String text = out.toString(StandardCharsets.UTF_8);
            return new Said(code, text.isBlank() ? null : JsonMapper.shared().readTree(text), err.toString());
        } finally {
            System.setOut(before);
        }
    }

    /** Seeded weights with no word on what they are. */
    private Path weights(String name, Shape image, int classes, Map<String, List<Integer>> attributes)
            throws IOException {
        Model model = Zoo.model(name, image, classes, ModelOptions.DEFAULT.with(attributes));
        return written(model, Map.of());
    }

    private Path written(Model model, Map<String, String> metadata) throws IOException {
        Path file = folder.resolve(model.name() + ".safetensors");
        try (Arena arena = Arena.ofConfined()) {
            WeightBuffer weights = WeightBuffer.allocate(model.table(), arena);
            model.initialize(weights, 3);
            model.table().entries().stream().filter(e -> e.name().endsWith(".lora_B"))
                    .forEach(e -> weights.slice(e).fill((byte) 0x3c)); // zeros would merge into nothing
            Safetensors.write(file, weights, metadata);
        }
        return file;
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {"convnet2|--size 8|1x8x8|3|fp32|sigmoid|",
            "convnet2|--size 8|3x8x8|3|fp16|sigmoid|",
            "xraynet|--size 24x32|1x24x32|2|fp16|sigmoid|",
            "segresnet|--size 16|1x16x16x16|4|fp32|softmax|init_filters=8",
            "segresnet|--size 16x24x16|2x16x24x16|4|fp16|softmax|init_filters=8",
            "retinanet3d|--size 32|1x32x32x32|2|fp32|boxes|width=8,pyramid=16",
            "retinanet3d|--size 32|1x32x32x32|2|fp16|boxes|width=8,pyramid=16"})
    void everyKindOfModelAgrees(String name, String size, String image, int classes, String precision, String decision,
            String attributes) throws IOException {
        Map<String, List<Integer>> set = attributes == null
                ? Map.of()
                : java.util.Arrays.stream(attributes.split(","))
                        .collect(Collectors.toMap(a -> a.split("=", 2)[0],
                                a -> List.of(Integer.parseInt(a.split("=", 2)[1]))));
        int[] dims = java.util.Arrays.stream(image.split("x")).mapToInt(Integer::parseInt).toArray();
        Path file = weights(name, Shape.of(dims), classes, set);
        Path out = folder.resolve("out.onnx");
        List<String> args = new java.util.ArrayList<>(List.of("export", "--json", "--model", name, "--weights",
                file.toString(), "--out", out.toString(), "--precision", precision, "--threads", "2"));
        args.addAll(List.of(size.split(" ")));
        set.forEach((k, v) -> args.addAll(List.of("--set", k + "=" + v.getFirst())));
        Said said = run(args.toArray(String[]::new));
        assertEquals(Exit.OK, said.code, said.err);
        assertEquals(image, said.json.get("image").asString());
        assertEquals(decision, said.json.get("decision").asString());
        assertEquals(classes, said.json.get("labels").size());
        assertTrue(said.json.get("onnx_max_abs_diff").asDouble() <= 1e-4);
        assertTrue(said.json.get("images_checked").asInt() >= 2, "batches of one and of several were run");
        assertEquals(Files.size(out), said.json.get("bytes").asLong());
        boolean half = precision.equals("fp16");
        assertEquals(half, !said.json.get("fp16").isNull());
        if (half) assertTrue(said.json.get("fp16").get("max_probability_diff").asDouble() < 0.05, said.json.toString());
        try (var files = Files.list(folder)) {
            assertEquals(2, files.count(), "nothing temporary is left");
        }
    }

    /** Import writes what the model is, and export need not be told again. */
    @Test
    void importedWeightsSayWhatTheyAre() throws IOException {
        Path file = weights("segresnet", Shape.of(1, 16, 16, 16), 2, Map.of("init_filters", List.of(8)));
        Path imported = folder.resolve("imported.safetensors");
        Said in = run("import", "--json", "--model", "segresnet", "--size", "16", "--set", "init_filters=8", "--labels",
                "liver,rest", file.toString(), "--out", imported.toString());
        assertEquals(Exit.OK, in.code, in.err);
        Said out = run("export", "--json", "--weights", imported.toString());
        assertEquals(Exit.OK, out.code, out.err);
        assertEquals("imported.onnx", Path.of(out.json.get("onnx").asString()).getFileName().toString());
        ModelProto onnx = ModelProto.parseFrom(Files.readAllBytes(folder.resolve("imported.onnx")));
        Map<String, String> metadata = onnx.getMetadataPropsList().stream()
                .collect(Collectors.toMap(StringStringEntryProto::getKey, StringStringEntryProto::getValue));
        assertEquals("[\"liver\",\"rest\"]", metadata.get("isthmus.labels"));
        assertEquals("segresnet.safetensors", metadata.get("isthmus.provenance.source"));
        assertFalse(metadata.containsKey("isthmus.preprocessing"), "nobody said how volumes are made");
    }

    /** With adapters that do something: the file's network has none, and answers as the adapted one. */
    @Test
    void adaptersAreMerged() throws IOException {
        Recipe recipe = Recipe.pneumonia()
                .with(new Adaptation(List.of(), List.of(), Optional.of(new Lora(2, 8, List.of("head", "block0.*")))));
        Path file = written(recipe.build(), Map.of(Recipe.METADATA, recipe.toJson()));
        Path films = CommandLineTest.sample().resolve("site_b/val.csv");
        Said said = run("export", "--json", "--model", file.toString(), "--check", films.toString(), "--threads", "2");
        assertEquals(Exit.OK, said.code, said.err);
        assertTrue(said.json.get("images_checked").asInt() > 50);
        assertTrue(said.json.get("onnx_max_abs_diff").asDouble() <= 1e-4);
        ModelProto onnx = ModelProto.parseFrom(Files.readAllBytes(folder.resolve("xraynet.onnx")));
        assertFalse(onnx.getGraph().getInitializerList().stream().anyMatch(t -> t.getName().contains("lora")));
        try (Arena arena = Arena.ofConfined()) {
            float base = Safetensors.map(file, arena).weights().slice("head.weight").getAtIndex(ValueLayout.JAVA_FLOAT,
                    0);
            float merged = onnx.getGraph().getInitializerList().stream().filter(t -> t.getName().equals("head.weight"))
                    .findAny().orElseThrow().getRawData().asReadOnlyByteBuffer()
                    .order(java.nio.ByteOrder.LITTLE_ENDIAN).getFloat();
            assertTrue(base != merged, "the adapter changed nothing");
        }
    }

    @Test
    void valuesThatLeaveHalfPrecisionAreAFailureAndNothingIsWritten() throws IOException {
        Path file = weights("convnet2", Shape.of(1, 8, 8), 2, Map.of());
        try (Arena arena = Arena.ofConfined()) {
            Model model = Zoo.model("convnet2", Shape.of(1, 8, 8), 2, ModelOptions.DEFAULT);
            WeightBuffer weights = WeightBuffer.allocate(model.table(), arena);
            Safetensors.load(file, weights);
            for (String name : List.of("conv1.weight", "conv2.weight", "fc1.weight"))
                for (long i = 0; i < weights.slice(name).byteSize() / 4; i++)
                    weights.slice(name).setAtIndex(ValueLayout.JAVA_FLOAT, i, 300);
            Safetensors.write(file, weights, Map.of());
        }
        Path out = folder.resolve("x.onnx");
        Said said = run("export", "--model", "convnet2", "--size", "8", "--weights", file.toString(), "--out",
                out.toString(), "--precision", "fp16");
        assertEquals(Exit.FAILED, said.code, said.err);
        assertTrue(said.err.contains("leave the range of half precision"), said.err);
        assertFalse(Files.exists(out));
    }

    @Test
    void whatDoesNotFitIsRefused() throws IOException {
        Path file = weights("convnet2", Shape.of(1, 8, 8), 2, Map.of());
        refused(Exit.USAGE, "does not say which network it is", "--weights", file.toString());
        refused(Exit.USAGE, "name the weights", "--model", "convnet2");
        refused(Exit.USAGE, "no network is called so", "--model", "convnet3", "--weights", file.toString());
        refused(Exit.BAD_DATA, "fc1.weight: the model has 128x200704, the file 128x256", "--model", "convnet2",
                "--weights",
                file.toString());
        refused(Exit.BAD_DATA, "conv1.weight: the model has 64x1x7x7, the file 32x1x3x3", "--model", "resnet34",
                "--size",
                "32", "--weights", file.toString());
        refused(Exit.BAD_DATA, "lacks fc2.weight of that size", "--model", "convnet2", "--size", "8", "--classes", "9",
                "--weights", file.toString());
        refused(Exit.USAGE, "--check needs weights from a training", "--model", "convnet2", "--size", "8", "--weights",
                file.toString(), "--check", CommandLineTest.sample().resolve("site_b/val.csv").toString());
        Path trained = written(Recipe.pneumonia().build(), Map.of(Recipe.METADATA, Recipe.pneumonia().toJson()));
        refused(Exit.USAGE, "holds weights of xraynet", "--model", "resnet34", "--weights", trained.toString());
        refused(Exit.USAGE, "leave out --size", "--size", "64", "--weights", trained.toString());
    }

    private void refused(int code, String words, String... args) {
        List<String> all = new java.util.ArrayList<>(List.of("export", "--out", folder.resolve("no.onnx").toString()));
        all.addAll(List.of(args));
        Said said = run(all.toArray(String[]::new));
        assertEquals(code, said.code, said.err);
        assertTrue(said.err.contains(words), said.err);
        assertFalse(Files.exists(folder.resolve("no.onnx")));
    }
}
