package isthmus.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.task.Recipe;
import java.io.ByteArrayOutputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** What people and machines meet: help, exit codes, one-line errors. */
class CommandLineTest {
    @TempDir
    Path folder;

    private record Said(int code, String out, String err) {}

    private static Said run(String... args) {
        var out = new StringWriter();
        var err = new StringWriter();
        CommandLine line = Main.commandLine().setOut(new PrintWriter(out, true)).setErr(new PrintWriter(err, true));
        return new Said(line.execute(args), out.toString(), err.toString());
    }

    @Test
    void allCommandsAreThereAndExplainThemselvesWithAnExample() {
        Map<String, CommandLine> all = Main.commandLine().getSubcommands();
        assertEquals(
                Set.of("demo", "train", "evaluate", "provision", "server", "site", "submit", "status", "import",
                        "export", "infer", "profile", "bench", "doctor", "diagnose", "experiment",
                        "explain"),
                all.keySet());
        for (String name : all.keySet()) {
            Said said = run(name, "--help");
            assertEquals(Exit.OK, said.code, name);
            assertTrue(said.out.contains("Example: isthmus " + name), said.out);
            assertTrue(said.out.contains("Exit codes:") && said.out.contains("130"), said.out);
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {"|2|say what to do", "dmo|2|isthmus demo", "evaluate --model x|2|--data",
            "evaluate --model no.safetensors --data no.csv|3|no.safetensors: there is no such file",
            "train|2|--train CSV", "train --train a.csv --val a.csv --fallback tpu|2|--fallback is 'tpu'",
            "experiment pok|2|poc", "experiment poc --rounds 0|2|--rounds is 0",
            "experiment poc --data %s|3|train.csv", "diagnose --model resnet35|2|resnet34",
            "diagnose --model convnet2 --image 64|2|--image",
            "diagnose --model convnet2 --freeze fc9|2|fc1.weight", "diagnose --lora fc1|2|--model",
            "demo --rounds 0|2|--rounds is 0", "provision %s/kits|2|--name",
            "site --kit %s --data no.csv --val no.csv|3|no.csv",
            "server --kit %s/nothing --data %s/data|1|connection.json is missing", "infer no.onnx film.jpg|3|no.onnx",
            "import --model resnet34 no.pth --out %s/x.safetensors|3|no.pth: there is no such file",
            "import --model resnet43 no.pth --out %s/x.safetensors|2|--model resnet43: no network is called so",
            "import --model resnet34 x.pth|2|--out",
            "submit --kit %s no.json|3|no.json", "submit job.json|2|--kit",
            "status --kit %s x --fetch newest|2|best and last",
            "demo --data %s|3|train.csv", "bench|2|say what to time", "profile resnet43|2|resnet34",
            "profile convnet2 --steps 0|2|--steps is 0", "profile convnet2 --precision fp8|2|fp8",
            "profile convnet2 --threads 4096|2|--force",
            "diagnose --model convnet2 --threads 4096|2|--force", "diagnose --model convnet2 --threads 0|2|1 or more",
            "experiment poc --threads 4096|2|--force", "bench train --model convnet2 --batch 0|2|batch 0",
            "bench train|2|--model", "bench train --model convnet2 --optimizer adagrad|2|adagrad",
            "bench compare|2|--python", "bench compare --python python --models vgg16|2|has no vgg16",
            "bench compare --python python --runs 0|2|--runs is 0",
            "bench compare --python python --all --batch 4|2|--all is every network",
            "bench loader --model convnet2 --data no.csv|3|no.csv",
            "bench loader --model segresnet --data no.csv|2|volumes",
            "bench loader --model convnet2 --data no.csv --workers 0|2|--workers 0"})
    void errorsAreOneMessageAndACode(String command, int code, String words) {
        String text = command == null ? "" : command.replace("%s", folder.toString());
        Said said = run(text.isEmpty() ? new String[0] : text.split(" "));
        assertEquals(code, said.code, said.err);
        assertTrue(said.err.contains(words), said.err);
        assertTrue(!said.err.contains("\tat "), "no stack trace without --trace: " + said.err);
    }

    /** On the emulation where it is built: the file's name says whose text it is. */
    @Test
    void doctorSavesWhatStandsForAGpu() throws Exception {
        Said said = run("doctor", "--save-device-properties", folder.toString(), "--device", "cuda-emulated");
        if (said.code != Exit.OK && said.err.contains("is not named")) return; // built without a C++ compiler
        assertEquals(Exit.OK, said.code, said.err);
        Path file = folder.resolve("cuda-emulation-on-the-host-cudnn-92400.json");
        assertTrue(JsonMapper.shared().readTree(Files.readString(file)).has("deviceName"), Files.readString(file));
    }

    @Test
    void doctorSaysInOneLineThatThereIsNoGpu() throws Exception {
        String gpu = DoctorCommand.look().gpu();
        assertTrue(!gpu.contains("\n"), gpu);
        assertTrue(gpu.startsWith("cuda:0 ") || gpu.startsWith("no GPU: "), gpu);
    }

    @Test
    void traceShowsWhereItHappened() {
        Said said = run("evaluate", "--model", "no.safetensors", "--data", "no.csv", "--trace");
        assertEquals(Exit.BAD_DATA, said.code);
        assertTrue(said.err.contains("\tat isthmus.cli."), said.err);
    }

    @Test
    void provisioningAddsSitesAndOverwritesNothing() throws Exception {
        String kits = folder.resolve("kits").toString();
        assertEquals(Exit.OK,
                run("provision", kits, "--name", "lungs", "--sites", "north", "--host", "localhost", "--json").code);
        byte[] key = Files.readAllBytes(folder.resolve("kits/sites/north/key.pem"));
        assertEquals(Exit.OK, run("provision", kits, "--sites", "south", "--json").code);
        assertTrue(Files.exists(folder.resolve("kits/sites/south/key.pem")));
        org.junit.jupiter.api.Assertions.assertArrayEquals(key,
                Files.readAllBytes(folder.resolve("kits/sites/north/key.pem")));
        Said moved = run("provision", kits, "--port", "9");
        assertEquals(Exit.USAGE, moved.code, moved.err);
    }

    @Test
    void aJobThatIsNoJobIsBadInput() throws Exception {
        Path job = folder.resolve("job.json");
        for (String text : new String[]{"{", "[]", "{\"rounds\": 3}", "{\"recipe\": {\"model\": \"x\"}}", ""}) {
            Files.writeString(job, text);
            Said said = run("submit", "--kit", folder.toString(), job.toString());
            assertEquals(Exit.BAD_DATA, said.code, text + ": " + said.err);
            assertTrue(said.err.contains("job.json"), said.err);
        }
    }

    @Test
    void anUnknownKeyOfAJobIsNamedWithFileAndLine() throws Exception {
        assertEquals(Exit.OK,
                run("provision", folder.resolve("kits").toString(), "--name", "lungs", "--sites", "a", "--json").code);
        Path job = folder.resolve("job.json");
        Files.writeString(job,
                JobFile.of("lungs", 5, 3, Recipe.pneumonia()).text().replace("\"rounds\"", "\"roundz\""));
        Said said = run("submit", "--kit", folder.resolve("kits/admins/admin").toString(), job.toString());
        assertEquals(Exit.BAD_DATA, said.code, said.err);
        assertTrue(said.err.contains("job.json, line 3") && said.err.contains("rounds"), said.err);
    }

    private Said submit(String recipe, String... more) throws Exception {
        Path job = folder.resolve("job.json");
        Files.writeString(job, "{\"name\": \"lungs\", \"rounds\": 2, \"min_sites\": 1, \"recipe\": " + recipe + "}");
        var all = new java.util.ArrayList<>(List.of("submit", "--kit", folder.toString(), job.toString()));
        all.addAll(List.of(more));
        return run(all.toArray(String[]::new));
    }

    @Test
    void aRecipeInAJobIsReadBeforeAnythingIsSent() throws Exception {
        String recipe = Recipe.pneumonia().toJson();
        Said misspelt = submit(recipe.replace("\"warmup\"", "\"warmupp\""));
        assertEquals(Exit.BAD_DATA, misspelt.code, misspelt.err);
        assertTrue(misspelt.err.contains("job.json: recipe: warmupp is not known; did you mean \"warmup\"?"),
                misspelt.err);
        Said group = submit(recipe.replace("\"optimizer\":{",
                "\"optimizer\":{\"groups\":[{\"pattern\":\"classifier\",\"lr_factor\":12}],"));
        assertEquals(Exit.BAD_DATA, group.code, group.err);
        assertTrue(group.err.contains("'classifier' fits no parameter of the model"), group.err);
    }

    /** Whoever submits a warm start has to have films for it. */
    @Test
    void aWarmStartNeedsFilmsAndFilmsAWarmStart() throws Exception {
        String recipe = Recipe.pneumonia().toJson();
        String warm = recipe.replace("\"seed\"", "\"warm_start\":{\"subset\":64,\"epochs\":2},\"seed\"");
        Said without = submit(warm);
        assertEquals(Exit.USAGE, without.code, without.err);
        assertTrue(without.err.contains("--warm-start CSV"), without.err);
        Said needless = submit(recipe, "--warm-start", sample().resolve("site_a/val.csv").toString());
        assertEquals(Exit.USAGE, needless.code, needless.err);
        Said file = submit(recipe.replace("\"seed\"", "\"warm_start\":{\"weights\":\"none.safetensors\"},\"seed\""));
        assertEquals(Exit.BAD_DATA, file.code, file.err);
        assertTrue(file.err.contains("none.safetensors: there is no such file"), file.err);
    }

    @Test
    void shippedRecipesArePrintedByName() {
        Said said = run("train", "--recipe", "resnet34-layerwise", "--print-recipe");
        assertEquals(Exit.OK, said.code, said.err);
        Said none = run("train", "--recipe", "resnet43-layerwise", "--print-recipe");
        assertEquals(Exit.BAD_DATA, none.code, none.err);
        Said help = run("train", "--help");
        assertTrue(help.out.contains("lr_factor"), help.out);
    }

    @Test
    void theExampleJobCarriesTheShippedRecipe() throws Exception {
        Path file = folder.resolve("job.json");
        Files.writeString(file, JobFile.of("lungs", 5, 3, Recipe.pneumonia()).text());
        JobFile read = JobFile.read(file);
        assertEquals(Recipe.pneumonia(), read.recipe());
        JsonNode job = JsonMapper.shared().readTree(read.text());
        assertEquals(5, job.get("rounds").asInt());
        assertEquals("auroc", job.get("key_metric").asString());
    }

    /** What a refused import finds at its --out stays as it was. */
    @Test
    void aCheckpointThatIsRefusedChangesNothing() throws Exception {
        Path out = Files.writeString(folder.resolve("kept.safetensors"), "precious");
        for (String name : new String[]{"asks_system.pth", "zip2.pth"}) {
            Path file = folder.resolve(name);
            try (var in = isthmus.weights.Checkpoint.class.getResourceAsStream(name)) {
                Files.write(file, in.readAllBytes());
            }
            Said said = run("import", "--model", "convnet2", "--size", "8", file.toString(), "--out", out.toString());
            assertEquals(Exit.BAD_DATA, said.code, said.err);
            assertTrue(said.err.contains(name.startsWith("asks") ? "posix.system" : "not the weights of convnet2"),
                    said.err);
            assertEquals("precious", Files.readString(out));
            Said itself = run("import", "--model", "convnet2", file.toString(), "--out", file.toString());
            assertEquals(Exit.USAGE, itself.code, itself.err);
        }
        try (var files = Files.list(folder)) {
            assertEquals(3, files.count());
        }
    }

    @Test
    void aRunTakesAFolderOfItsOwn() throws Exception {
        Files.createDirectories(folder.resolve("used"));
        Files.writeString(folder.resolve("used/model"), "precious");
        Said said = run("demo", "--dir", folder.resolve("used").toString(), "--data", sample().toString());
        assertEquals(Exit.USAGE, said.code, said.err);
        assertEquals("precious", Files.readString(folder.resolve("used/model")));
    }

    @ParameterizedTest
    @CsvSource({"fl.example.org:8443,fl.example.org,8443", "[::1]:1,::1,1", "127.0.0.1:65535,127.0.0.1,65535"})
    void addressesAsPeopleWriteThem(String text, String host, int port) {
        assertEquals(new Address(host, port), Address.parse(text));
    }

    @ParameterizedTest
    @CsvSource({"fl.example.org", ":1", "x:", "x:0", "x:65536", "x:-1", "x:1e3"})
    void noAddresses(String text) {
        assertEquals(Exit.USAGE,
                org.junit.jupiter.api.Assertions.assertThrows(CliException.class, () -> Address.parse(text)).code());
    }

    @Test
    void jsonKeepsStandardOutputClean() {
        var out = new ByteArrayOutputStream();
        var err = new ByteArrayOutputStream();
        var terminal = new Terminal(new java.io.PrintStream(out), new java.io.PrintStream(err), false, true);
        terminal.print("for people");
        terminal.note("a warning");
        terminal.result(Map.of("seconds", 1));
        assertEquals(1, JsonMapper.shared().readTree(out.toString(java.nio.charset.StandardCharsets.UTF_8))
                .get("seconds").asInt());
        assertTrue(err.toString(java.nio.charset.StandardCharsets.UTF_8).startsWith("a warning"));
    }

    static Path sample() {
        Path here = Path.of("src/main/sample/cxr");
        return Files.isDirectory(here) ? here : Path.of("models").resolve(here);
    }
}
