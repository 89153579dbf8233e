package isthmus.bindings;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;

/** Compiles C headers and compares what they say of functions and numbers with our tables. */
public final class HeaderCheck {
    /** Prints a function's ABI letters from its type; nothing is called, so nothing is linked. */
    private static final String PRINTER = """
            #include <cstdint>
            #include <cstdio>
            #include <cstddef>
            #include <type_traits>
            template <class T> constexpr char letter() {
                if constexpr (std::is_void_v<T>) return 'v';
                else if constexpr (std::is_pointer_v<T>) return 'p';
                else if constexpr (std::is_same_v<T, float>) return 'f';
                else if constexpr (std::is_same_v<T, double>) return 'd';
                else if constexpr (std::is_integral_v<T> || std::is_enum_v<T>)
                    return sizeof(T) == 8 ? 'l' : sizeof(T) == 4 ? 'i' : '?';
                else return '?';
            }
            template <class F> struct print;
            template <class R, class... A> struct print<R (*)(A...)> {
                print(const char *name) {
                    std::printf("%s %c", name, letter<R>());
                    (std::putchar(letter<A>()), ...);
                    std::putchar('\\n');
                }
            };
            #define FUNCTION(name) print<decltype(&name)>(#name);
            #define NUMBER(name) std::printf("%s %lld\\n", #name, (long long)(name));
            """;

    private HeaderCheck() {}

    public static String text(Map<String, String> signatures) {
        return signatures.entrySet().stream().map(e -> e.getKey() + " " + e.getValue() + "\n").sorted()
                .collect(Collectors.joining());
    }

    public static void compare(Path folder, List<Path> includes, String headers, Map<String, String> signatures,
            Map<String, Long> numbers) throws Exception {
        var source = new StringBuilder(PRINTER).append(headers).append("int main() {\n");
        signatures.keySet().forEach(n -> source.append("FUNCTION(").append(n).append(")\n"));
        numbers.keySet().forEach(n -> source.append("NUMBER((").append(n).append("))\n"));
        var expected = new StringBuilder();
        signatures.forEach((name, letters) -> expected.append(name).append(' ').append(letters).append('\n'));
        numbers.forEach((name, value) -> expected.append('(').append(name).append(") ").append(value).append('\n'));
        assertEquals(expected.toString(), compileAndRun(folder, includes, source.append("}\n").toString()));
    }

    private static String compileAndRun(Path folder, List<Path> includes, String source) throws Exception {
        Optional<String> compiler = Stream.of("g++", "clang++").filter(HeaderCheck::isInstalled).findFirst();
        if (compiler.isEmpty()) System.out.println("AbiTest: headers not compared: there is no g++ or clang++");
        Assumptions.assumeTrue(compiler.isPresent(), "there is no g++ or clang++");
        Path code = Files.writeString(folder.resolve("abi.cpp"), source);
        Path program = folder.resolve("abi");
        List<String> command = new ArrayList<>(List.of(compiler.get(), "-std=c++17", "-w"));
        includes.forEach(i -> command.addAll(List.of("-I", i.toString())));
        // Nothing is called, so nothing needs to be linked.
        command.addAll(List.of("-Wl,--unresolved-symbols=ignore-all", "-o", program.toString(), code.toString()));
        output(command.toArray(String[]::new));
        return output(program.toString());
    }

    private static boolean isInstalled(String program) {
        return Arrays.stream(System.getenv("PATH").split(":")).anyMatch(p -> Files.isExecutable(Path.of(p, program)));
    }

    private static String output(String... command) throws Exception {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), text);
        return text;
    }
}
