package isthmus.bench.gpu;

import isthmus.backend.BackendProvider;
import isthmus.backend.Backends;
import isthmus.bindings.cuda.CudaLibraries;
import isthmus.profile.Machine;
import isthmus.report.JsonFile;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** What there is, what is missing or too old; and cuDNN's own text about the device as a file. */
final class VersionsPart {
    /** One line of results. */
    record Versions(List<String> problems, List<String> found, List<String> nvidiaSmi, String machine, String system,
            String jvm, String deviceText) {}

    private VersionsPart() {}

    /** Arguments: device, folder. */
    public static void main(String[] args) throws IOException, InterruptedException {
        String device = args[0];
        CudaLibraries libraries = device.equals(GpuCheck.EMULATED) ? CudaLibraries.emulated() : CudaLibraries.found();
        String kind = device.split(":", 2)[0];
        BackendProvider provider = Backends.all().stream().filter(p -> p.name().equals(kind)).findFirst()
                .orElseThrow(() -> new IllegalArgumentException("no device is called " + device));
        List<String> problems = libraries.problems();
        if (problems.isEmpty()) problems = provider.problem().stream().toList();
        String text = problems.isEmpty() ? deviceText(device, Path.of(args[1])) : "";
        System.out.println(JsonFile.line(new Versions(problems, provider.describe(), nvidiaSmi(),
                Machine.here().toString(), System.getProperty("os.name") + " " + System.getProperty("os.version"),
                Runtime.version().toString(), text)));
        if (problems.isEmpty()) return;
        System.err.println(device + " cannot be used here:");
        System.exit(1);
    }

    /** Writes cuDNN's text, from which plans for this device can be made elsewhere; returns the file's name, or why not. */
    private static String deviceText(String device, Path folder) throws IOException {
        try {
            BackendProvider.Properties p = Backends.properties(device);
            Path file = folder.resolve("cudnn-device.json");
            Files.writeString(file, p.text().strip() + "\n");
            return file.getFileName() + ": " + p.device() + ", " + p.library();
        } catch (RuntimeException e) {
            return "none: " + e.getMessage();
        }
    }

    private static List<String> nvidiaSmi() throws InterruptedException {
        try {
            Process p = new ProcessBuilder("nvidia-smi", "--format=csv",
                    "--query-gpu=name,driver_version,memory.total,clocks.sm,clocks.max.sm,clocks.max.memory,power.limit")
                    .redirectErrorStream(true).start();
            String said = new String(p.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            p.waitFor();
            return said.lines().toList();
        } catch (IOException e) {
            return List.of(); // no driver, no tool
        }
    }
}
