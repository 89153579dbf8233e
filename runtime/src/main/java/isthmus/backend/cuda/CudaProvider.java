package isthmus.backend.cuda;

import isthmus.backend.Backend;
import isthmus.backend.BackendProvider;
import isthmus.bindings.NativeException;
import isthmus.bindings.cuda.CudaLibraries;
import java.util.Optional;

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
