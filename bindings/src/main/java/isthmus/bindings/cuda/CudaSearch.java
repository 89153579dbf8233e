package isthmus.bindings.cuda;

import isthmus.bindings.NativeLibrary;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

/**
 * Where NVIDIA's libraries may lie: folders named by the user, the toolkit, a Python installation's {@code nvidia} packages,
 * and last what the system's loader finds. CUDA 13 goes before 12 wherever it lies.
 *
 * @param named folders named by the user, with ':' between them
 * @param environment a variable of the environment, or null
 */
record CudaSearch(String named, UnaryOperator<String> environment) {
    /** System property: folders to look in first, with ':' between them. */
    static final String PROPERTY = "isthmus.cuda.path";

    /** With this process's property and environment. */
    static CudaSearch ofProcess() {
        return new CudaSearch(System.getProperty(PROPERTY, ""), System::getenv);
    }

    /** The first that opens; else absent, with where it was looked for. */
    NativeLibrary open(String name, String... sonames) {
        return open(name, folder -> {}, sonames);
    }

    /** NVRTC opens its builtins by bare name: unless those beside it are open already, every compilation fails. */
    NativeLibrary nvrtc() {
        return open("NVRTC",
                folder -> builtins(folder).ifPresent(file -> NativeLibrary.file("NVRTC builtins", file)),
                "libnvrtc.so.13", "libnvrtc.so.12");
    }

    private NativeLibrary open(String name, Consumer<Path> before, String... sonames) {
        List<String> failures = new ArrayList<>();
        for (String soname : sonames) {
            for (Path folder : folders()) {
                Path file = folder.resolve(soname);
                if (!Files.isReadable(file)) continue;
                before.accept(folder);
                NativeLibrary library = NativeLibrary.file(name, file);
                if (library.problem().isEmpty()) return library;
                failures.add(library.problem().get());
            }
            NativeLibrary library = NativeLibrary.system(name, soname);
            if (library.problem().isEmpty()) return library;
        }
        return NativeLibrary.absent(name,
                failures.isEmpty()
                        ? String.join(" or ", sonames) + " was not found; install it (pip install nvidia-cudnn-cu13"
                                + " nvidia-cublas nvidia-cuda-nvrtc has all), or name its folder with -D" + PROPERTY
                        : failures.getFirst());
    }

    private static Optional<Path> builtins(Path folder) {
        return children(folder).filter(f -> f.getFileName().toString().startsWith("libnvrtc-builtins.so")).sorted()
                .findFirst();
    }

    /** Every folder that exists, in the order of search. */
    List<Path> folders() {
        Set<Path> all = new LinkedHashSet<>();
        for (String folder : named.split(File.pathSeparator, -1))
            if (!folder.isBlank()) all.add(Path.of(folder));
        for (String home : List.of("CUDA_HOME", "CUDA_PATH"))
            variable(home).ifPresent(p -> toolkit(all, p));
        sitePackages()
                .forEach(site -> children(site.resolve("nvidia")).sorted().forEach(p -> all.add(p.resolve("lib"))));
        toolkit(all, Path.of("/usr/local/cuda"));
        return all.stream().filter(Files::isDirectory).toList();
    }

    private static void toolkit(Set<Path> all, Path home) {
        all.add(home.resolve("lib64"));
        all.add(home.resolve("lib"));
        all.add(home.resolve("targets/x86_64-linux/lib"));
    }

    private List<Path> sitePackages() {
        List<Path> prefixes = new ArrayList<>();
        variable("VIRTUAL_ENV").ifPresent(prefixes::add);
        variable("CONDA_PREFIX").ifPresent(prefixes::add);
        for (String folder : Optional.ofNullable(environment.apply("PATH")).orElse("").split(File.pathSeparator, -1))
            if (!folder.isBlank() && Files.isExecutable(Path.of(folder, "python3")))
                prefixes.add(Path.of(folder, ".."));
        prefixes.add(Path.of(System.getProperty("user.home"), ".local"));
        prefixes.add(Path.of("/usr/local"));
        prefixes.add(Path.of("/usr"));
        List<Path> sites = new ArrayList<>();
        for (Path prefix : prefixes)
            children(prefix.resolve("lib")).filter(p -> p.getFileName().toString().startsWith("python3")).sorted()
                    .forEach(python -> {
                        sites.add(python.resolve("site-packages"));
                        sites.add(python.resolve("dist-packages"));
                    });
        return sites;
    }

    private Optional<Path> variable(String name) {
        return Optional.ofNullable(environment.apply(name)).filter(v -> !v.isBlank()).map(Path::of);
    }

    private static Stream<Path> children(Path folder) {
        if (!Files.isDirectory(folder)) return Stream.empty();
        try (Stream<Path> all = Files.list(folder)) {
            return all.toList().stream();
        } catch (IOException e) {
            return Stream.empty(); // a folder that may not be read holds nothing for us
        }
    }
}
