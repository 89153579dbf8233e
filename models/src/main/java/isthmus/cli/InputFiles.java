package isthmus.cli;

import java.nio.file.Files;
import java.nio.file.Path;

/** Early checks of files that a command was given, so that a long run does not fail late. */
final class InputFiles {
    private InputFiles() {}

    /** Throws unless there is a readable file. */
    static void require(Path file, String what) {
        if (Files.isDirectory(file))
            throw new CliException(Exit.BAD_DATA, file + " is a folder; " + what + " is needed");
        if (!Files.exists(file))
            throw new CliException(Exit.BAD_DATA, file + ": there is no such file; " + what + " is needed");
        if (!Files.isReadable(file))
            throw new CliException(Exit.BAD_DATA, file + ": this user may not read it; check owner and permissions");
    }
}
