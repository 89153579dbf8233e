package isthmus.bindings;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.bindings.kernels.KernelStructs;
import isthmus.bindings.kernels.Kernels;
import isthmus.bindings.onednn.OneDnn;
import isthmus.bindings.onednn.OneDnnConstants;
import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.Modifier;
import java.net.JarURLConnection;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.jar.JarFile;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Our tables of C signatures, constants and structures against checked-in texts, against the headers that came with the
 * libraries (compiled now), and against the names that the libraries export.
 */
class AbiTest {
    private static final String DNNL_HEADERS = "org/bytedeco/dnnl/linux-x86_64/include/";

    @TempDir
    Path folder;

    @Test
    void oneDnnAsWrittenDown() throws IOException {
        assertEquals(golden("onednn.abi"), HeaderCheck.text(OneDnn.signatures()));
    }

    @Test
    void kernelsAsWrittenDown() throws IOException {
        assertEquals(golden("kernels.abi"), HeaderCheck.text(Kernels.signatures()));
    }

    @Test
    void oneDnnAsItsHeadersSay() throws Exception {
        Path include = folder.resolve("include");
        extract(DNNL_HEADERS + "oneapi/dnnl/", include.resolve("oneapi/dnnl"));
        var numbers = new TreeMap<String, Long>();
        for (var field : OneDnnConstants.class.getFields()) {
            assertTrue(Modifier.isStatic(field.getModifiers()));
            numbers.put(cName(field.getName()), (long) field.getInt(null));
        }
        numbers.put("sizeof(dnnl_exec_arg_t)", OneDnn.EXEC_ARG_BYTES);
        numbers.put("offsetof(dnnl_exec_arg_t, arg)", 0L);
        numbers.put("offsetof(dnnl_exec_arg_t, memory)", 8L);
        numbers.put("sizeof(dnnl_dim_t)", 8L);
        numbers.put("offsetof(dnnl_version_t, patch)", 8L);
        assertTrue(numbers.size() > 100, "constants found: " + numbers.size());
        HeaderCheck.compare(folder, List.of(include),
                "#include <oneapi/dnnl/dnnl.h>\n#include <oneapi/dnnl/dnnl_debug.h>\n", OneDnn.signatures(),
                numbers);
    }

    @Test
    void kernelsAsTheirHeaderSays() throws Exception {
        Path include = Files.createDirectories(folder.resolve("include"));
        try (InputStream in = resource("isthmus/native/include/isthmus.h").openStream()) {
            Files.copy(in, include.resolve("isthmus.h"));
        }
        Map<String, Long> numbers = new TreeMap<>(
                Map.ofEntries(Map.entry("sizeof(ist_sgd_options)", KernelStructs.SGD_BYTES),
                        Map.entry("offsetof(ist_sgd_options, gradient_scale)", KernelStructs.SGD_GRADIENT_SCALE),
                        Map.entry("offsetof(ist_sgd_options, step)", KernelStructs.SGD_STEP),
                        Map.entry("sizeof(ist_adam_options)", KernelStructs.ADAM_BYTES),
                        Map.entry("offsetof(ist_adam_options, gradient_scale)", KernelStructs.ADAM_GRADIENT_SCALE),
                        Map.entry("offsetof(ist_adam_options, step)", KernelStructs.ADAM_STEP),
                        Map.entry("sizeof(ist_detection)", KernelStructs.DETECTION_BYTES),
                        Map.entry("sizeof(ist_window)", KernelStructs.WINDOW_BYTES),
                        Map.entry("sizeof(ist_norm)", KernelStructs.NORM_BYTES),
                        Map.entry("offsetof(ist_norm, activation)", 40L),
                        Map.entry("sizeof(ist_norm_gradient)", KernelStructs.NORM_GRADIENT_BYTES),
                        Map.entry("sizeof(ist_owed)", KernelStructs.OWED_BYTES),
                        Map.entry("offsetof(ist_owed, slope)", 16L),
                        Map.entry("offsetof(ist_norm_gradient, slope_before)", KernelStructs.NORM_BYTES + 32),
                        Map.entry("offsetof(ist_window, in)", 32L), Map.entry("offsetof(ist_window, dilation)", 152L),
                        Map.entry("IST_F32", (long) Kernels.F32), Map.entry("IST_BF16", (long) Kernels.BF16),
                        Map.entry("IST_F16", (long) Kernels.F16), Map.entry("IST_NONE", (long) Kernels.NONE),
                        Map.entry("IST_RELU", (long) Kernels.RELU), Map.entry("IST_SILU", (long) Kernels.SILU)));
        HeaderCheck.compare(folder, List.of(include), "#include <isthmus.h>\n", Kernels.signatures(), numbers);
    }

    @Test
    void everyNameResolves() {
        for (String name : OneDnn.signatures().keySet())
            assertTrue(NativeLibrary.oneDnn().find(name).isPresent(), name);
        for (String name : Kernels.signatures().keySet())
            assertTrue(NativeLibrary.kernels().find(name).isPresent(), name);
    }

    @Test
    void oneOpenMpRuntimeForAll() throws IOException {
        OneDnn.version();
        Kernels.isa();
        try (Stream<String> maps = Files.lines(Path.of("/proc/self/maps"))) {
            var runtimes = maps.filter(l -> l.contains("libgomp")).map(l -> l.substring(l.indexOf('/')))
                    .collect(Collectors.toSet());
            assertEquals(1, runtimes.size(), runtimes.toString());
            assertEquals(NativeLibrary.openMp().origin(), runtimes.stream().findFirst());
        }
    }

    /** The C name: macros are written in capitals, enumerators are not. */
    private static String cName(String field) {
        boolean macro = field.startsWith("DNNL_ARG_") || field.startsWith("DNNL_MAX_");
        return macro ? field : field.toLowerCase(Locale.ROOT);
    }

    private static String golden(String name) throws IOException {
        try (InputStream in = AbiTest.class.getResourceAsStream(name)) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    private static URL resource(String name) {
        URL url = AbiTest.class.getClassLoader().getResource(name);
        assertTrue(url != null, name);
        return url;
    }

    private static void extract(String from, Path to) throws IOException {
        Files.createDirectories(to);
        JarFile jar = ((JarURLConnection) resource(from + "dnnl.h").openConnection()).getJarFile();
        var headers = jar.stream().filter(e -> e.getName().startsWith(from) && e.getName().endsWith(".h")).toList();
        assertFalse(headers.isEmpty());
        for (var header : headers)
            try (InputStream in = jar.getInputStream(header)) {
                Files.copy(in, to.resolve(header.getName().substring(from.length())));
            }
    }
}
