package isthmus.bindings.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.bindings.NativeLibrary;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Where NVIDIA's libraries are looked for, and in which order. Libraries are copies of the emulation. */
class CudaSearchTest {
    private static final String NAME = "libcublasLt.so.";

    @TempDir
    Path root;

    private Path folder(String name) throws IOException { return Files.createDirectories(root.resolve(name)); }

    /** A file that opens as a library. */
    private static Path library(Path folder, String name) throws IOException {
        Path emulation = Path.of(System.getProperty(CudaLibraries.EMULATION, ""));
        boolean built = Files.isRegularFile(emulation);
        if (!built) System.out.println("CudaSearchTest: not run: the emulation is not built");
        Assumptions.assumeTrue(built, "the emulation is not built");
        return Files.copy(emulation, folder.resolve(name));
    }

    private static CudaSearch search(Path named, Map<String, String> environment) {
        return new CudaSearch(named == null ? "" : named.toString(), environment::get);
    }

    @Test
    void namedFoldersThenTheToolkitThenPython() throws IOException {
        Path named = folder("named");
        Path toolkit = folder("toolkit/lib64");
        Path cudnn = folder("env/lib/python3.12/site-packages/nvidia/cudnn/lib");
        Path cublas = folder("env/lib/python3.12/site-packages/nvidia/cublas/lib");
        Path onPath = folder("other/lib/python3.9/dist-packages/nvidia/cu13/lib");
        Path python = Files.createFile(folder("other/bin").resolve("python3"));
        assertTrue(python.toFile().setExecutable(true));
        CudaSearch search = search(named, Map.of("CUDA_HOME", root.resolve("toolkit").toString(), "VIRTUAL_ENV",
                root.resolve("env").toString(), "PATH", python.getParent().toString()));
        List<Path> ours = search.folders().stream().map(Path::normalize).filter(f -> f.startsWith(root)).toList();
        assertEquals(List.of(named, toolkit, cublas, cudnn, onPath), ours);
    }

    @Test
    void aFolderThatIsNotThereIsNotSearched() {
        List<Path> all = search(root.resolve("nothing"), Map.of("CUDA_HOME", root.resolve("gone").toString()))
                .folders();
        assertFalse(all.stream().anyMatch(f -> f.startsWith(root)), all.toString());
    }

    @Test
    void cuda13GoesBefore12WhereverItLies() throws IOException {
        library(folder("named"), NAME + 12);
        Path newer = library(folder("toolkit/lib64"), NAME + 13);
        CudaSearch search = search(folder("named"), Map.of("CUDA_HOME", root.resolve("toolkit").toString()));
        assertEquals(Optional.of(newer.toString()), search.open("cuBLASLt", NAME + 13, NAME + 12).origin());
    }

    @Test
    void of13TheNamedFoldersGoesFirst() throws IOException {
        Path named = library(folder("named"), NAME + 13);
        library(folder("toolkit/lib64"), NAME + 13);
        CudaSearch search = search(folder("named"), Map.of("CUDA_HOME", root.resolve("toolkit").toString()));
        assertEquals(Optional.of(named.toString()), search.open("cuBLASLt", NAME + 13, NAME + 12).origin());
    }

    @Test
    void aDamagedFileIsPassedOver() throws IOException {
        Files.writeString(folder("named").resolve(NAME + 13), "no library");
        Path good = library(folder("toolkit/lib64"), NAME + 13);
        CudaSearch search = search(folder("named"), Map.of("CUDA_HOME", root.resolve("toolkit").toString()));
        assertEquals(Optional.of(good.toString()), search.open("cuBLASLt", NAME + 13).origin());
    }

    @Test
    void whatIsMissingIsSaidWithTheWayToGetIt() {
        NativeLibrary none = search(null, Map.of()).open("cuXYZ", "libcuXYZ.so.13");
        String why = none.problem().orElseThrow();
        assertTrue(why.contains("libcuXYZ.so.13") && why.contains("pip install") && why.contains("isthmus.cuda.path"),
                why);
    }

    /** The builtins beside the compiler that is opened, by full path, and no other's. */
    @Test
    void nvrtcsOwnBuiltinsAreOpenBeforeIt() throws IOException {
        library(folder("named"), "libnvrtc.so.12");
        Path others = library(folder("named"), "libnvrtc-builtins.so.12.9");
        Path compiler = library(folder("toolkit/lib64"), "libnvrtc.so.13");
        Path builtins = library(folder("toolkit/lib64"), "libnvrtc-builtins.so.13.0");
        CudaSearch search = search(folder("named"), Map.of("CUDA_HOME", root.resolve("toolkit").toString()));
        assertEquals(Optional.of(compiler.toString()), search.nvrtc().origin());
        String open = Files.readString(Path.of("/proc/self/maps"));
        assertTrue(open.contains(builtins.toString()), open);
        assertFalse(open.contains(others.toString()), "of CUDA 12, which is not used");
    }
}
