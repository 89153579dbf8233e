package isthmus.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** One hospital of the demo: its name and its own films. */
record Hospital(String name, Path train, Path validation) {
    /** The films that come with the source. */
    static Path sample() {
        Path home = Path.of(System.getProperty("isthmus.home", "."));
        Path folder = home.resolve("models/src/main/sample/cxr");
        if (!Files.isDirectory(folder))
            throw new CliException(Exit.BAD_DATA,
                    folder + ": the bundled films are not there; name others with --data DIR");
        return folder;
    }

    /** All folders with films, by name. */
    static List<Hospital> in(Path folder) throws IOException {
        try (var folders = Files.list(folder)) {
            List<Hospital> all = folders.filter(f -> Files.isRegularFile(f.resolve("train.csv"))).sorted()
                    .map(f -> new Hospital(f.getFileName().toString(), f.resolve("train.csv").toAbsolutePath(),
                            f.resolve("val.csv").toAbsolutePath()))
                    .toList();
            if (all.isEmpty())
                throw new CliException(Exit.BAD_DATA,
                        folder + ": no folder in it has a train.csv; give a folder a hospital");
            for (Hospital h : all)
                InputFiles.require(h.validation, "a CSV of films to validate on");
            return all;
        }
    }
}
