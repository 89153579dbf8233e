package isthmus.backend.cuda;

import isthmus.backend.Backend;
import isthmus.backend.BackendProvider;
import isthmus.bindings.NativeException;
import isthmus.bindings.cuda.CudaLibraries;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Supplier;

/** Announces NVIDIA GPUs. */
public final class CudaProvider implements BackendProvider {
    @Override
    public String name() { return "cuda"; }

    @Override
    public Optional<String> problem() { return problem(CudaLibraries.found()); }

    @Override
    public Backend open(int threads) { return open(threads, 0); }

    @Override
    public Backend open(int threads, int index) { return new CudaBackend(name(), CudaLibraries.found(), index); }

    /** One line where there is no GPU; else the GPUs, and each library with version and file. */
    @Override
    public List<String> describe() {
        CudaLibraries found = CudaLibraries.found();
        Optional<String> problem = problem(found);
        if (problem.isPresent() && problem.get().startsWith("no GPU")) return List.of(problem.get());
        List<String> lines = new ArrayList<>();
        for (int i = 0; i < found.driver().deviceCount(); i++) {
            int d = found.driver().device(i);
            lines.add(String.format(Locale.ROOT, "cuda:%d %s, %.1f GB", i, found.driver().deviceName(d),
                    found.driver().deviceMemory(d) / 1e9));
        }
        lines.add("driver for CUDA " + CudaLibraries.text(found.driver().driverVersion()));
        lines.add(library(found.nvrtc().problem(), () -> "NVRTC " + CudaLibraries.text(found.nvrtc().version()),
                found.nvrtc().origin()));
        lines.add(library(found.cublasLt().problem(), () -> "cuBLASLt " + found.cublasLt().version(),
                found.cublasLt().origin()));
        lines.add(library(found.cudnn().problem(), () -> "cuDNN " + found.cudnn().version(), found.cudnn().origin()));
        problem.ifPresent(lines::add);
        return lines;
    }

    @Override
    public Properties properties(int index) { return properties(CudaLibraries.found(), index); }

    /** cuDNN's text, and the versions of it and of the driver. */
    static Properties properties(CudaLibraries libraries, int index) {
        try (Device d = new Device(libraries, index)) {
            return new Properties(d.name, "cudnn " + libraries.cudnn().version(),
                    ConvTarget.text(libraries.cudnn(), d.cudnn));
        }
    }

    private static String library(Optional<String> problem, Supplier<String> version, Optional<String> origin) {
        return problem.orElseGet(() -> version.get() + ", " + origin.orElse("?"));
    }

    static Optional<String> problem(CudaLibraries libraries) {
        if (libraries.driver().problem().isPresent())
            return Optional.of("no GPU: the NVIDIA driver (libcuda.so.1) is not installed");
        try {
            libraries.driver().init();
            if (libraries.driver().deviceCount() == 0) return Optional.of("no GPU: the NVIDIA driver finds none");
        } catch (NativeException e) {
            return Optional.of("no GPU: " + e.getMessage());
        }
        return libraries.problem();
    }
}
