package isthmus.backend.onednn;

import isthmus.backend.Backend;
import isthmus.backend.BackendProvider;
import isthmus.bindings.NativeLibrary;
import isthmus.bindings.onednn.OneDnn;
import java.util.Optional;

/** Announces the CPU. */
public final class CpuProvider implements BackendProvider {
    @Override
    public String name() { return "cpu"; }

    @Override
    public Optional<String> problem() { return OneDnn.problem().or(() -> NativeLibrary.kernels().problem()); }

    @Override
    public Backend open(int threads) { return new CpuBackend(threads); }
}
