package isthmus.bench.gpu;

import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The unpacked bundle that this process runs from. */
record Bundle(Path folder) {
    /** System property that the launcher sets. */
    static final String PROPERTY = "isthmus.bundle";

    static Bundle here() {
        String folder = System.getProperty(PROPERTY, "");
        if (folder.isBlank())
            throw new IllegalStateException("-D" + PROPERTY + " is not set; start the check with check.sh");
        return new Bundle(Path.of(folder));
    }

    Path reference() { return folder.resolve("reference"); }

    Path peer() { return folder.resolve("peer").resolve("torch_train.py"); }

    /** A program on the same Java, with the same flags and more properties. */
    List<String> java(String main, List<String> properties, Object... arguments) {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
        command.addAll(properties);
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), main));
        for (Object a : arguments)
            command.add(a.toString());
        return command;
    }
}
