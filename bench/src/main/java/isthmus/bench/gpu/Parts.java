package isthmus.bench.gpu;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** The parts of the check, the most worth first. On the emulation all of them with tiny sizes. */
final class Parts {
    /** The first part, which says what is missing. */
    static final String VERSIONS = "versions";

    private static final String STEP = "step";
    private static final String PEER = "pytorch";
    private static final String LATER = "-compiled";
    /** Cases that take an emulation more than some seconds; the build's tests run them there. */
    private static final List<String> LONG_CASES = List.of("model-retinanet3d", "model-densenet121-224",
            "model-densenet121", "model-resnet34", "model-efficientnet_b0", "model-segresnet");

    /** A network at the batch that it is compared at, and the edge of its images. */
    private record Network(String model, int batch, int size, int tiny) {}

    private static final List<Network> COMPARED = List.of(new Network("densenet121", 256, 224, 32),
            new Network("resnet34", 256, 224, 32), new Network("efficientnet_b0", 256, 224, 32),
            new Network("densenet121", 32, 224, 32), new Network("densenet121", 16, 224, 32),
            new Network("segresnet", 4, 96, 8), new Network("retinanet3d", 4, 192, 12),
            new Network("convnet2", 256, 224, 16), new Network("convnet2", 32, 224, 16));

    private final String device;
    private final boolean tiny;
    private final String python;
    private final Path out;
    private final Bundle bundle;

    Parts(String device, String python, Path out, Bundle bundle) {
        this.device = device;
        this.tiny = device.equals(GpuCheck.EMULATED);
        this.python = python;
        this.out = out;
        this.bundle = bundle;
    }

    /** Whether a part is nothing without the device. */
    static boolean needsDevice(Part part) {
        return !part.name().startsWith(PEER);
    }

    List<Part> all() {
        List<Part> all = new ArrayList<>();
        all.add(new Part(VERSIONS, "Device and libraries", 1, 60, java(VersionsPart.class, device, out)));
        all.add(reference());
        all.add(new Part("conv3d", "Half-precision convolutions of volumes against float32", 5, 60,
                java(Conv3dPart.class, device, tiny ? "tiny" : "usual")));
        for (Network n : COMPARED) {
            all.add(step(n, "amp", false));
            if (n.model.equals("convnet2") && n.batch == 256) all.add(step(n, "amp", true));
        }
        all.add(memory());
        all.add(new Part("ceilings", "Rates of a copy, a product and a convolution", 5, 45,
                java(CeilingsPart.class, device, tiny ? "tiny" : "usual")));
        for (Network n : COMPARED)
            all.add(peer(n, false));
        all.add(new Part("profile", "Where the time of DenseNet-121 goes", 15, 75, java(ProfilePart.class, device,
                "densenet121", tiny ? 1 : 256, "amp", tiny ? 32 : 224, tiny ? 1 : 5)));
        for (Network n : COMPARED.subList(0, 4))
            all.add(peer(n, true));
        all.add(tf32());
        Map<String, String> environment = packages(python);
        all.replaceAll(p -> needsDevice(p) ? p.in(environment) : p);
        // An emulation on a busy machine takes what it takes.
        return tiny ? all.stream().map(Part::withoutLimit).toList() : all;
    }

    /** Where a Python keeps its packages, so that the libraries it computes with are found as in an activated environment. */
    private static Map<String, String> packages(String python) {
        try {
            Process p = new ProcessBuilder(python, "-c", "import sys; print(sys.prefix)")
                    .redirectError(ProcessBuilder.Redirect.DISCARD).start();
            String prefix = p.inputReader().readLine();
            return p.waitFor() == 0 && prefix != null ? Map.of("VIRTUAL_ENV", prefix.strip()) : Map.of();
        } catch (IOException e) {
            return Map.of(); // no Python: the libraries may lie elsewhere
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return Map.of();
        }
    }

    private List<String> java(Class<?> main, Object... arguments) {
        return bundle.java(main.getName(), List.of(), arguments);
    }

    private Part reference() {
        List<Object> arguments = new ArrayList<>(List.of(device, bundle.reference()));
        if (tiny) arguments.addAll(LONG_CASES);
        return new Part("reference", "Reference cases: what PyTorch computed", 15, 180,
                bundle.java("isthmus.reference.ReferenceMain", List.of(), arguments.toArray()))
                .noting(tiny ? "left out, as the build's tests run them: " + String.join(", ", LONG_CASES) : "");
    }

    private static String name(String kind, Network n) { return kind + "-" + n.model + "-" + n.batch; }

    private Part step(Network n, String precision, boolean lora) {
        return new Part(name(STEP, n) + (lora ? "-lora" : ""), n.model + ", batch " + n.batch + (lora ? ", LoRA" : ""),
                12, n.equals(COMPARED.getFirst()) ? 150 : 75,
                java(StepPart.class, device, n.model, tiny ? 1 : n.batch, precision, tiny ? n.tiny : n.size,
                        tiny ? 0.01 : 3, lora ? "lora" : "all"));
    }

    /** Float32 with rounded inputs, which is what half precision has to beat. */
    private Part tf32() {
        Network n = COMPARED.getFirst();
        List<String> command = bundle.java(StepPart.class.getName(), List.of("-Disthmus.tf32=true"), device, n.model,
                tiny ? 1 : n.batch, "fp32", tiny ? n.tiny : n.size, tiny ? 0.01 : 2);
        return new Part(STEP + "-densenet121-tf32", "densenet121 in TF32", 15, 75, command);
    }

    private Part memory() {
        List<String> command = new ArrayList<>();
        Optional<Path> tool = sanitizer();
        tool.ifPresent(t -> command.addAll(List.of(t.toString(), "--tool", "memcheck", "--error-exitcode", "86",
                "--print-limit", "20", "--target-processes", "all")));
        command.addAll(java(StepPart.class, device, "convnet2", 2, "amp", 16, 0.01));
        Part part = new Part("memory", "compute-sanitizer's memcheck on some steps", 10, 90, command);
        if (tiny) return part.noting("the emulation's own checks of lifetimes and bounds, not compute-sanitizer's");
        return part.unless(tool.isEmpty()
                ? Optional.of("compute-sanitizer was not found on the PATH, in CUDA_HOME or /usr/local/cuda")
                : Optional.empty());
    }

    private static Optional<Path> sanitizer() {
        List<String> folders = new ArrayList<>(
                List.of(System.getenv().getOrDefault("PATH", "").split(File.pathSeparator, -1)));
        for (String home : List.of("CUDA_HOME", "CUDA_PATH"))
            Optional.ofNullable(System.getenv(home)).ifPresent(h -> folders.add(h + "/bin"));
        folders.add("/usr/local/cuda/bin");
        folders.add("/usr/local/cuda/compute-sanitizer");
        return folders.stream().filter(f -> !f.isBlank()).map(f -> Path.of(f, "compute-sanitizer"))
                .filter(Files::isExecutable).findFirst();
    }

    private Part peer(Network n, boolean compiled) {
        List<String> command = new ArrayList<>(List.of(python, bundle.peer().toString(), "--model", n.model, "--batch",
                Integer.toString(tiny ? 2 : n.batch), "--size", Integer.toString(tiny ? n.tiny : n.size), "--threads",
                "2", "--device", tiny ? "cpu" : device, "--precision", tiny ? "bf16" : "f16"));
        command.addAll(tiny ? List.of("--steps", "1", "--warmup", "1") : List.of("--seconds", "3"));
        if (compiled) command.addAll(List.of("--compile", "default"));
        int most = compiled ? 150 : 60;
        return new Part(name(PEER, n) + (compiled ? LATER : ""),
                "PyTorch, " + n.model + ", batch " + n.batch + (compiled ? ", torch.compile" : ""), compiled ? 45 : 12,
                most, command, Map.of("TORCHINDUCTOR_FX_GRAPH_CACHE", "1"),
                Optional.empty(), "");
    }
}
