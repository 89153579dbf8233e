package isthmus.backend.cuda;

import isthmus.backend.Backend;
import isthmus.backend.BackendProvider;
import isthmus.bindings.cuda.CudaLibraries;
import java.util.Optional;

/** Announces the emulation of CUDA on the CPU, which proves the code for GPUs and is thousands of times slower. */
public final class EmulatedCudaProvider implements BackendProvider {
    @Override
    public String name() { return "cuda-emulated"; }

    @Override
    public Optional<String> problem() {
        CudaLibraries libraries = CudaLibraries.emulated();
        return libraries.driver().problem().or(() -> CudaProvider.problem(libraries));
    }

    @Override
    public Backend open(int threads) { return new CudaBackend(name(), CudaLibraries.emulated(), 0); }

    @Override
    public Properties properties(int index) { return CudaProvider.properties(CudaLibraries.emulated(), index); }
}
