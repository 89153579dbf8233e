package isthmus.bindings.cuda;

import isthmus.bindings.NativeLibrary;
import isthmus.bindings.cublas.CublasLt;
import isthmus.bindings.cudnn.Cudnn;
import isthmus.bindings.nvrtc.Nvrtc;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * The four libraries that training on an NVIDIA GPU takes: opened, or absent with the reason. A set is either NVIDIA's, or
 * the emulation that our tests use, which is one file that exports all of them.
 */
public record CudaLibraries(CudaDriver driver, Nvrtc nvrtc, CublasLt cublasLt, Cudnn cudnn) {
    /** System property: the file of the emulation. */
    public static final String EMULATION = "isthmus.cuda.emulation";

    /** The oldest cuDNN that has all we use. */
    private static final long OLDEST_CUDNN = 90_000;

    /** NVIDIA's libraries of this machine, looked for once. */
    public static CudaLibraries found() {
        return Found.LIBRARIES;
    }

    /**
     * The emulation on the host's CPU; absent unless the property {@value #EMULATION} names its file, or the test jar of the
     * module native is on the class path.
     */
    public static CudaLibraries emulated() { return Emulated.LIBRARIES; }

    /** Whether these are the emulation, whose times mean nothing. */
    public boolean isEmulation() {
        return Emulated.LIBRARIES.equals(this);
    }

    /** Why training cannot use these libraries; empty if it can. Says nothing of whether there is a GPU. */
    public Optional<String> problem() {
        return problems().stream().findFirst();
    }

    /** All that is missing or too old, one line each; empty if training can use these libraries. */
    public List<String> problems() {
        List<String> missing = Stream.of(driver.problem(), nvrtc.problem(), cublasLt.problem(), cudnn.problem())
                .flatMap(Optional::stream).toList();
        return missing.isEmpty() ? versionProblem().stream().toList() : missing;
    }

    private Optional<String> versionProblem() {
        long cudnnVersion = cudnn.version();
        if (cudnnVersion < OLDEST_CUDNN) {
            return Optional.of("cuDNN " + cudnnVersion + " in " + cudnn.origin().orElse("?")
                    + " is too old; install cuDNN 9 (9.16 or newer for 3D networks)");
        }
        int driverVersion = driver.driverVersion();
        int needed = (int) (cudnn.cudaVersion() / 1000);
        if (driverVersion / 1000 < needed) {
            return Optional.of("the driver serves CUDA " + text(driverVersion) + " and the cuDNN found ("
                    + cudnn.origin().orElse("?") + ") is for CUDA " + needed + "; install a driver "
                    + (needed >= 13 ? "580" : "525") + " or newer, or the libraries for CUDA " + driverVersion / 1000);
        }
        int compiler = nvrtc.version() / 1000;
        return driverVersion / 1000 < compiler
                ? Optional.of("the driver serves CUDA " + text(driverVersion) + " and the NVRTC found ("
                        + nvrtc.origin().orElse("?") + ") is of CUDA " + compiler
                        + "; name a folder of older libraries with -D" + CudaSearch.PROPERTY)
                : Optional.empty();
    }

    /** A version as people write it: 13000 is 13.0. */
    public static String text(long version) {
        return version / 1000 + "." + version % 1000 / 10;
    }

    private static final class Found {
        static final CudaLibraries LIBRARIES = find();

        private static CudaLibraries find() {
            // cuDNN and NVRTC ask for others by bare name, which the loader finds if they are open already.
            NativeLibrary driver = NativeLibrary.system("NVIDIA driver", "libcuda.so.1");
            CudaSearch search = CudaSearch.ofProcess();
            NativeLibrary nvrtc = search.nvrtc();
            NativeLibrary cublasLt = search.open("cuBLASLt", "libcublasLt.so.13", "libcublasLt.so.12");
            NativeLibrary cudnn = search.open("cuDNN", "libcudnn.so.9");
            return new CudaLibraries(new CudaDriver(driver), new Nvrtc(nvrtc), new CublasLt(cublasLt),
                    new Cudnn(cudnn));
        }
    }

    private static final class Emulated {
        private static final String NAME = "CUDA emulation";
        static final CudaLibraries LIBRARIES = open();

        private static CudaLibraries open() {
            String file = System.getProperty(EMULATION, "");
            NativeLibrary all = file.isBlank()
                    ? NativeLibrary.resource(NAME, "isthmus/native/emulation/", "libisthmus_cuda_emulation.so")
                            .orElseGet(() -> NativeLibrary.absent(NAME, "it is for tests and its file is not named;"
                                    + " build the module native and set -D" + EMULATION))
                    : NativeLibrary.file(NAME, Path.of(file));
            return new CudaLibraries(new CudaDriver(all), new Nvrtc(all), new CublasLt(all), new Cudnn(all));
        }
    }
}
