package isthmus.cli;

import isthmus.backend.Backend;
import isthmus.backend.BackendProvider;
import isthmus.backend.Backends;
import isthmus.backend.Precision;
import isthmus.bindings.NativeLibrary;
import isthmus.bindings.kernels.Kernels;
import isthmus.bindings.onednn.OneDnn;
import isthmus.bindings.onednn.OneDnnConstants;
import isthmus.profile.Machine;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import picocli.CommandLine.Option;

/** Says what this machine has and what of it is used. */
@picocli.CommandLine.Command(name = "doctor", description = "Shows JDK, CPU, native libraries and GPU, and what of them is used.", footer = {
        "", "Example: isthmus doctor --json"})
final class DoctorCommand extends Command {
    /** One native library. */
    record Library(String name, boolean usable, String version, String instructions, String path, String problem) {}

    /** All that was found; {@code problems} is empty if training works here. */
    record Report(String isthmus, String jdk, String jdkHome, String os, Machine cpu, long memoryBytes,
            long heapLimitBytes,
            String precisionAmp,
            List<Library> libraries, String gpu, List<String> problems) {}

    @Option(names = "--save-device-properties", paramLabel = "FILE", description = "Write cuDNN's description of the GPU there, or into"
            + " that folder under the device's name: plans for the GPU can then be asked for on machines without it.")
    private Path properties;

    @Option(names = "--device", paramLabel = "DEVICE", defaultValue = "cuda", description = "The GPU to describe: cuda or cuda:N."
            + " Default: cuda.")
    private String device = "cuda";

    @Override
    void run(Terminal terminal) throws IOException {
        if (properties != null) {
            terminal.print("saved " + save(DeviceOption.named(device, "run this where there is a GPU"), properties));
            return;
        }
        Report report = look();
        terminal.result(report);
        print(terminal, report);
        if (!report.problems.isEmpty()) throw new CliException(Exit.FAILED, String.join("\n", report.problems));
    }

    /** Writes the device's text; which file that was. */
    private static Path save(DeviceOption option, Path to) throws IOException {
        BackendProvider.Properties p = Backends.properties(option.with(1).device());
        Path file = Files.isDirectory(to) ? to.resolve(fileName(p)) : to;
        if (file.toAbsolutePath().getParent() != null) Files.createDirectories(file.toAbsolutePath().getParent());
        return Files.writeString(file, p.text().strip() + "\n");
    }

    private static String fileName(BackendProvider.Properties p) {
        return (p.device() + "-" + p.library()).toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9]+", "-") + ".json";
    }

    static Report look() throws IOException {
        List<Library> libraries = List.of(oneDnn(), kernels(), openMp(), onnxRuntime());
        Machine machine = Machine.here();
        boolean working = OneDnn.problem().isEmpty() && Kernels.problem().isEmpty();
        List<String> problems = libraries.stream().filter(l -> !l.usable).map(Library::problem).toList();
        return new Report(Version.TEXT, Runtime.version() + " (" + System.getProperty("java.vm.vendor") + ")",
                System.getProperty("java.home"),
                System.getProperty("os.name") + " " + System.getProperty("os.version") + " "
                        + System.getProperty("os.arch"),
                machine, machine.memoryBytes(), Runtime.getRuntime().maxMemory(), amp(machine, working), libraries,
                gpu(),
                problems);
    }

    /** The machine as figures name it. */
    static isthmus.experiment.Poc.Machine machine() throws IOException {
        Machine here = Machine.here();
        return new isthmus.experiment.Poc.Machine(here.model() + ", " + here.cores() + " cores", amp(here, true));
    }

    private static Library oneDnn() {
        Optional<String> problem = OneDnn.problem();
        return problem.isPresent()
                ? absent("oneDNN", problem.get())
                : new Library("oneDNN", true, OneDnn.version(), isaName(OneDnn.getEffectiveCpuIsa()),
                        path(NativeLibrary.oneDnn()), "");
    }

    private static Library kernels() {
        Optional<String> problem = Kernels.problem();
        return problem.isPresent()
                ? absent("isthmus kernels", problem.get())
                : new Library("isthmus kernels", true, Version.TEXT, Kernels.isa(), path(NativeLibrary.kernels()), "");
    }

    private static Library openMp() {
        NativeLibrary library = NativeLibrary.openMp();
        return library.problem().map(p -> absent("OpenMP (libgomp)", p))
                .orElseGet(() -> new Library("OpenMP (libgomp)", true, "", "", path(library), ""));
    }

    /** Loads ONNX Runtime's library to be sure that it works here. */
    private static Library onnxRuntime() {
        try {
            return new Library("ONNX Runtime", true, ai.onnxruntime.OrtEnvironment.getEnvironment().getVersion(), "",
                    "", "");
        } catch (LinkageError | RuntimeException e) {
            return absent("ONNX Runtime", "ONNX Runtime cannot be loaded: " + Failures.text(e)
                    + "; models train all the same, but export cannot be checked and infer does not work");
        }
    }

    private static Library absent(String name, String problem) { return new Library(name, false, "", "", "", problem); }

    private static String path(NativeLibrary library) { return library.origin().orElse(""); }

    /** The constant's own name for an instruction set, as in oneDNN's manual. */
    private static String isaName(int isa) {
        return switch (isa) {
            case OneDnnConstants.DNNL_CPU_ISA_SSE41 -> "sse41";
            case OneDnnConstants.DNNL_CPU_ISA_AVX -> "avx";
            case OneDnnConstants.DNNL_CPU_ISA_AVX2 -> "avx2";
            case OneDnnConstants.DNNL_CPU_ISA_AVX2_VNNI -> "avx2_vnni";
            case OneDnnConstants.DNNL_CPU_ISA_AVX512_CORE -> "avx512_core";
            case OneDnnConstants.DNNL_CPU_ISA_AVX512_CORE_VNNI -> "avx512_core_vnni";
            case OneDnnConstants.DNNL_CPU_ISA_AVX512_CORE_BF16 -> "avx512_core_bf16";
            case OneDnnConstants.DNNL_CPU_ISA_AVX10_1_512 -> "avx10_1_512";
            case OneDnnConstants.DNNL_CPU_ISA_AVX10_1_512_AMX -> "avx10_1_512_amx";
            default -> "0x" + Integer.toHexString(isa);
        };
    }

    /** What {@code amp} means here; {@code working} if there is a backend to ask. */
    private static String amp(Machine machine, boolean working) {
        if (!working) return "unknown: the native libraries are missing";
        try (Backend backend = Backends.cpu(1)) {
            List<String> notes = Precision.notes("amp", backend);
            if (!notes.isEmpty())
                return "fp32: half precision would be slower, as " + backend.halfProblem().orElseThrow();
        }
        return "bf16 " + (machine.features().contains("amx_bf16") ? "on AMX tiles" : "by AVX-512 dot products")
                + "; master weights, gradients and statistics in float32";
    }

    /** What the devices beside the CPU say of themselves. */
    private static String gpu() throws IOException {
        List<String> lines = new ArrayList<>();
        for (BackendProvider p : Backends.all())
            if (p.name().equals("cuda")) lines.addAll(p.describe());
        String card = card();
        return lines.isEmpty() ? card : String.join("; ", lines);
    }

    private static String card() throws IOException {
        List<String> names = new ArrayList<>();
        Path cards = Path.of("/proc/driver/nvidia/gpus");
        if (Files.isDirectory(cards)) {
            try (var folders = Files.newDirectoryStream(cards)) {
                for (Path card : folders)
                    names.add(gpuName(card.resolve("information")));
            }
        }
        return names.isEmpty()
                ? "none found; training runs on the CPU"
                : String.join(", ", names)
                        + " found";
    }

    private static String gpuName(Path information) throws IOException {
        if (!Files.isReadable(information)) return "NVIDIA GPU";
        return Files.readAllLines(information).stream().filter(l -> l.startsWith("Model:"))
                .map(l -> l.substring(6).strip()).findFirst()
                .orElse("NVIDIA GPU");
    }

    private static void print(Terminal terminal, Report r) {
        terminal.print("isthmus     " + r.isthmus);
        terminal.print("JDK         " + r.jdk + ", " + r.jdkHome);
        terminal.print("system      " + r.os);
        terminal.print("CPU         " + r.cpu.model() + ", " + r.cpu.cores() + " cores");
        terminal.print("  features  " + String.join(" ", r.cpu.features()));
        terminal.print(String.format(Locale.ROOT,
                "memory      %.1f GB; Java heap up to %.1f GB (weights and pictures lie off it)",
                r.memoryBytes / 1e9, r.heapLimitBytes / 1e9));
        terminal.print("amp         " + r.precisionAmp);
        for (Library l : r.libraries) {
            var line = new StringBuilder(l.name).append(l.usable ? "" : "  MISSING");
            if (!l.version.isEmpty()) line.append(' ').append(l.version);
            if (!l.instructions.isEmpty()) line.append(", uses ").append(l.instructions);
            if (!l.path.isEmpty()) line.append(", ").append(l.path);
            terminal.print("library     " + line);
        }
        terminal.print("GPU         " + r.gpu);
    }
}
