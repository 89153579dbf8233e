package isthmus.cli;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.Locale;

/** Where a run puts what it makes: a folder of its own that nothing else has written to. */
final class RunFolder {
    private static final DateTimeFormatter STAMP = DateTimeFormatter.ofPattern("yyyyMMdd-HHmmss", Locale.ROOT);

    private RunFolder() {}

    /** Makes the folder that was asked for, which must be empty or new, or {@code out/KIND-TIME} below the working folder. */
    static Path make(Path wanted, String kind) throws IOException {
        if (wanted == null)
            return Files.createDirectories(
                    unused(Path.of("out", kind + "-" + LocalDateTime.now(ZoneId.systemDefault()).format(STAMP))));
        try {
            Files.createDirectories(wanted);
        } catch (FileAlreadyExistsException e) {
            throw new CliException(Exit.USAGE, wanted + " is a file; name a folder for the run", e);
        }
        try (var inside = Files.newDirectoryStream(wanted)) {
            if (inside.iterator().hasNext())
                throw new CliException(Exit.USAGE,
                        wanted + " is not empty; a run takes a new folder so that nothing is overwritten");
        }
        return wanted;
    }

    private static Path unused(Path wanted) {
        Path folder = wanted;
        for (int i = 2; Files.exists(folder); i++)
            folder = wanted.resolveSibling(wanted.getFileName() + "-" + i);
        return folder;
    }
}
