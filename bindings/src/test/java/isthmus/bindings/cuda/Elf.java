package isthmus.bindings.cuda;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Reads which functions a 64-bit little-endian ELF library exports: its dynamic symbols that are defined and global. */
final class Elf {
    private static final int SECTION_HEADERS = 0x28;
    private static final int SECTION_HEADER_BYTES = 0x3a;
    private static final int SECTIONS = 0x3c;
    private static final int DYNSYM = 11;
    private static final int SYMBOL_BYTES = 24;
    private static final int GLOBAL = 1;
    private static final int FUNCTION = 2;

    private Elf() {}

    static List<String> exports(Path file) throws IOException {
        ByteBuffer elf = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
        int headers = (int) elf.getLong(SECTION_HEADERS);
        int size = elf.getShort(SECTION_HEADER_BYTES);
        for (int s = 0; s < elf.getShort(SECTIONS); s++) {
            int header = headers + s * size;
            if (elf.getInt(header + 4) != DYNSYM) continue;
            int names = headers + elf.getInt(header + 40) * size;
            return functions(elf, (int) elf.getLong(header + 24), (int) elf.getLong(header + 32),
                    (int) elf.getLong(names + 24));
        }
        throw new IOException(file + " has no dynamic symbols");
    }

    private static List<String> functions(ByteBuffer elf, int at, int bytes, int names) {
        List<String> all = new ArrayList<>();
        for (int symbol = at; symbol < at + bytes; symbol += SYMBOL_BYTES) {
            int info = elf.get(symbol + 4);
            boolean defined = elf.getShort(symbol + 6) != 0;
            if (defined && info >> 4 == GLOBAL && (info & 0xf) == FUNCTION)
                all.add(text(elf, names + elf.getInt(symbol)));
        }
        return all;
    }

    private static String text(ByteBuffer elf, int at) {
        int end = at;
        while (elf.get(end) != 0)
            end++;
        byte[] name = new byte[end - at];
        elf.get(at, name);
        return new String(name, StandardCharsets.US_ASCII);
    }
}
