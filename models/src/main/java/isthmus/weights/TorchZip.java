package isthmus.weights;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/** PyTorch's format since 1.6: a zip of {@code NAME/data.pkl}, {@code NAME/data/KEY} and {@code NAME/byteorder}. */
final class TorchZip {
    private static final String PICKLE = "data.pkl";
    private static final long MAX_PICKLE = 256 << 20;

    private final MappedFile file;
    private final ZipEntries zip;
    private final String folder;

    private TorchZip(MappedFile file, ZipEntries zip, String folder) {
        this.file = file;
        this.zip = zip;
        this.folder = folder;
    }

    static Checkpoint read(MappedFile file) {
        ZipEntries zip = ZipEntries.read(file);
        List<String> names = new ArrayList<>();
        zip.names().forEach(names::add);
        // At the top, or in the one folder that PyTorch names after the file.
        String pickle = names.stream().filter(n -> n.matches("([^/]+/)?" + Pattern.quote(PICKLE))).findFirst()
                .orElseThrow(() -> file.wrong("is a zip file, but not PyTorch's: it has no " + PICKLE + ", only "
                        + Words.some(names)));
        String folder = pickle.substring(0, pickle.length() - PICKLE.length());
        if (zip.has(folder + "constants.pkl"))
            throw file.wrong("is a TorchScript program; in Python, save its weights alone: "
                    + "torch.save(torch.jit.load(FILE).state_dict(), OTHER)");
        return new TorchZip(file, zip, folder).checkpoint();
    }

    private Checkpoint checkpoint() {
        MemorySegment pickle = zip.bytes(folder + PICKLE);
        if (pickle.byteSize() > MAX_PICKLE)
            throw file.wrong("its pickle has " + pickle.byteSize() + " bytes; at most " + MAX_PICKLE + " are read");
        Py root = new Unpickler(file.name(), new PickleBytes(file.name(), pickle)).load();
        StateDict.Found found = StateDict.find(file.name(), root);
        return Checkpoint.of(file.name(), "PyTorch", found, order(), this::storage);
    }

    private ByteOrder order() {
        String entry = folder + "byteorder";
        if (!zip.has(entry)) return ByteOrder.LITTLE_ENDIAN;
        MemorySegment bytes = zip.bytes(entry);
        String text = bytes.byteSize() > 16
                ? "?"
                : new String(bytes.toArray(ValueLayout.JAVA_BYTE), StandardCharsets.US_ASCII);
        return switch (text) {
            case "little" -> ByteOrder.LITTLE_ENDIAN;
            case "big" -> ByteOrder.BIG_ENDIAN;
            default -> throw file.wrong("its byte order is '" + text + "'; little and big are known");
        };
    }

    private MemorySegment storage(Py.Storage s) {
        MemorySegment bytes = zip.bytes(folder + "data/" + s.key());
        if (bytes.byteSize() != s.elements() * s.type().bytes())
            throw file.wrong("its storage " + s.key() + " has " + bytes.byteSize() + " bytes, its pickle speaks of "
                    + s.elements() + " elements of " + s.type() + "; fetch the file again");
        return bytes;
    }
}
