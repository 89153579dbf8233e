package isthmus.bindings.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.bindings.HeaderCheck;
import isthmus.bindings.NativeLibrary;
import isthmus.bindings.cublas.CublasLt;
import isthmus.bindings.cublas.CublasLtConstants;
import isthmus.bindings.cudnn.Cudnn;
import isthmus.bindings.cudnn.CudnnConstants;
import isthmus.bindings.nvrtc.Nvrtc;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Our tables of NVIDIA's signatures, constants and sizes: against a text of our own always, against NVIDIA's headers where
 * they are found, and every name against the libraries that are found.
 */
class CudaAbiTest {
    private static final NativeLibrary NONE = NativeLibrary.absent("none", "only the table is looked at");

    private final CudaDriver driver = new CudaDriver(NONE);
    private final Nvrtc nvrtc = new Nvrtc(NONE);
    private final CublasLt cublasLt = new CublasLt(NONE);
    private final Cudnn cudnn = new Cudnn(NONE);

    @TempDir
    Path folder;

    @Test
    void asWrittenDown() throws IOException {
        String all = HeaderCheck.text(driver.signatures()) + HeaderCheck.text(nvrtc.signatures())
                + HeaderCheck.text(cublasLt.signatures()) + HeaderCheck.text(cudnn.signatures())
                + numbers(constants(CudaConstants.class)) + numbers(ltNumbers())
                + numbers(constants(CudnnConstants.class));
        try (InputStream in = CudaAbiTest.class.getResourceAsStream("cuda.abi")) {
            assertEquals(new String(in.readAllBytes(), StandardCharsets.UTF_8), all);
        }
    }

    @Test
    void driverAsItsHeaderSays() throws Exception {
        compare("cuda.h", driver.signatures(), constants(CudaConstants.class));
    }

    @Test
    void nvrtcAsItsHeaderSays() throws Exception { compare("nvrtc.h", nvrtc.signatures(), new TreeMap<>()); }

    @Test
    void cublasLtAsItsHeaderSays() throws Exception { compare("cublasLt.h", cublasLt.signatures(), ltNumbers()); }

    @Test
    void cudnnAsItsHeaderSays() throws Exception {
        compare("cudnn_graph.h", cudnn.signatures(), constants(CudnnConstants.class));
    }

    @Test
    void everyNameResolves() {
        CudaSearch search = CudaSearch.ofProcess();
        assertResolves(search.nvrtc(), nvrtc.signatures());
        assertResolves(search.open("cuBLASLt", "libcublasLt.so.13", "libcublasLt.so.12"), cublasLt.signatures());
        assertResolves(search.open("cuDNN", "libcudnn.so.9"), cudnn.signatures());
        assertResolves(driver(search), driver.signatures());
    }

    /** The driver, or the stub of it that a toolkit brings for linking. */
    private static NativeLibrary driver(CudaSearch search) {
        NativeLibrary installed = NativeLibrary.system("driver", "libcuda.so.1");
        if (installed.problem().isEmpty()) return installed;
        return search.folders().stream().map(f -> f.resolve("stubs/libcuda.so")).filter(Files::isReadable).findFirst()
                .map(f -> NativeLibrary.file("driver's stub", f)).orElse(installed);
    }

    /** The emulation is what is bound, no more and no less. */
    @Test
    void theEmulationExportsWhatIsBound() throws IOException {
        Path file = Path.of(System.getProperty(CudaLibraries.EMULATION, ""));
        boolean built = Files.isRegularFile(file);
        if (!built) System.out.println("CudaAbiTest: exports not compared: the emulation is not built");
        Assumptions.assumeTrue(built, "the emulation is not built");
        Set<String> bound = new TreeSet<>();
        for (var table : List.of(driver.signatures(), nvrtc.signatures(), cublasLt.signatures(), cudnn.signatures()))
            bound.addAll(table.keySet());
        assertEquals(bound, new TreeSet<>(Elf.exports(file)));
        System.out.println("CudaAbiTest: the emulation exports the " + bound.size() + " names that are bound");
    }

    private static void assertResolves(NativeLibrary library, Map<String, String> signatures) {
        if (library.problem().isPresent()) {
            System.out.println("CudaAbiTest: names not looked up: " + library.problem().get());
            return;
        }
        for (String name : signatures.keySet())
            assertTrue(library.find(name).isPresent(), () -> library.origin().get() + " lacks " + name);
        System.out.println("CudaAbiTest: " + signatures.size() + " names in " + library.origin().get());
    }

    private Map<String, Long> ltNumbers() {
        Map<String, Long> all = constants(CublasLtConstants.class);
        all.put("sizeof(cublasLtMatmulHeuristicResult_t)", CublasLt.HEURISTIC_BYTES);
        all.put("offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize)", CublasLt.HEURISTIC_WORKSPACE);
        all.put("offsetof(cublasLtMatmulHeuristicResult_t, state)", CublasLt.HEURISTIC_STATE);
        return all;
    }

    private static Map<String, Long> constants(Class<?> of) {
        Map<String, Long> all = new TreeMap<>();
        try {
            for (var field : of.getFields())
                all.put(field.getName(), (long) field.getInt(null));
        } catch (IllegalAccessException e) {
            throw new AssertionError(e);
        }
        assertTrue(all.size() > 5, of + " has " + all.size() + " constants");
        return all;
    }

    private static String numbers(Map<String, Long> numbers) {
        var text = new StringBuilder();
        numbers.forEach((name, value) -> text.append(name).append(' ').append(value).append('\n'));
        return text.toString();
    }

    private void compare(String header, Map<String, String> signatures, Map<String, Long> numbers) throws Exception {
        List<Path> includes = includes();
        boolean found = includes.stream().anyMatch(i -> Files.isReadable(i.resolve(header)));
        if (!found) System.out.println("CudaAbiTest: not compared: there is no " + header);
        Assumptions.assumeTrue(found, "there is no " + header);
        HeaderCheck.compare(folder, includes, "#include <" + header + ">\n", signatures, numbers);
    }

    /** Beside each folder of libraries: the toolkit's and the Python packages' headers. */
    private static List<Path> includes() {
        List<Path> all = new ArrayList<>();
        for (Path libraries : CudaSearch.ofProcess().folders())
            for (Path up : List.of(libraries.resolve(".."), libraries.resolve("../../..")))
                all.add(up.resolve("include").normalize());
        return Stream.concat(all.stream(), Stream.of(Path.of("/usr/include"))).filter(Files::isDirectory).distinct()
                .toList();
    }
}
