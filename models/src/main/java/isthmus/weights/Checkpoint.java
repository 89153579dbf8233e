package isthmus.weights;

import isthmus.tensor.Safetensors;
import isthmus.tensor.SafetensorsException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Tensors by name from another program's file.
 *
 * @param source the file
 * @param format what kind of file it is, for people
 * @param tensors in the file's order; names are unique
 * @param notes one line each for what was unwrapped or left out
 */
public record Checkpoint(String source, String format, List<StoredTensor> tensors, List<String> notes) {
    private static final int MAX_HEADER = 100 << 20;

    public Checkpoint {
        tensors = List.copyOf(tensors);
        notes = List.copyOf(notes);
    }

    /** Axes of what its convolutions slide over: 3 for volumes, else 2. */
    public int axes() {
        return tensors.stream().anyMatch(t -> t.shape().rank() == 5) ? 3 : 2;
    }

    /** Gives a storage's bytes. */
    interface Storages {
        MemorySegment bytes(Py.Storage storage);
    }

    /**
     * Opens a file of any format that is read: PyTorch (zip, and the one before 1.6), safetensors, ONNX. What it is shows in
     * its first bytes.
     *
     * @param arena the tensors are valid while it is open
     * @throws CheckpointException if the file is none of these, is damaged, or asks for anything but tensors
     */
    public static Checkpoint open(Path file, Arena arena) throws IOException {
        MappedFile mapped = MappedFile.open(file, arena);
        long size = mapped.size();
        if (size < 16) throw mapped.wrong("has " + size + " bytes; that is no checkpoint");
        int first = mapped.u8(0);
        if (first == 'P' && mapped.u8(1) == 'K') return TorchZip.read(mapped);
        if (first == 0x80 && mapped.u8(1) <= 5) return TorchLegacy.read(mapped);
        long header = mapped.i64(0);
        if (header > 1 && header <= MAX_HEADER && mapped.u8(8) == '{') return safetensors(file, mapped);
        if (file.toString().endsWith(".onnx") || first == 0x08) return OnnxInitialisers.read(mapped, arena);
        throw mapped
                .wrong("is none of the formats that are read: PyTorch (.pth, .pt), safetensors, ONNX" + guess(mapped));
    }

    private static String guess(MappedFile file) {
        if (file.u16(0) == 0x8b1f) return "; it is gzip: unpack it first";
        if (file.has(257, 5) && file.text(257, 5).equals("ustar"))
            return "; it is a tar archive: unpack it, or, if PyTorch before 0.2 made it, save it again with a newer one";
        if (file.text(1, 3).equals("HDF")) return "; it is HDF5, as Keras writes it: convert it first";
        if (file.u8(0) == '<') return "; it looks like a web page: the download may have asked for a login";
        if (file.text(0, 7).equals("version")) return "; it is a Git LFS pointer: fetch the file itself";
        return "";
    }

    private static Checkpoint safetensors(Path file, MappedFile mapped) throws IOException {
        Safetensors.Contents contents;
        try {
            contents = Safetensors.contents(file);
        } catch (SafetensorsException e) {
            throw new CheckpointException(e.getMessage(), e);
        }
        List<StoredTensor> tensors = new ArrayList<>();
        for (Safetensors.Stored s : contents.tensors())
            tensors.add(StoredTensor.packed(s.name(), s.type(), s.shape(), ByteOrder.LITTLE_ENDIAN,
                    mapped.view(contents.dataOffset() + s.begin(), s.end() - s.begin())));
        return new Checkpoint(mapped.name(), "safetensors", tensors, List.of());
    }

    /** Views of what a pickle described. */
    static Checkpoint of(String source, String format, StateDict.Found found, ByteOrder order, Storages storages) {
        Map<String, MemorySegment> bytes = new HashMap<>();
        List<StoredTensor> tensors = new ArrayList<>();
        found.tensors().forEach((name, t) -> {
            Py.Storage s = t.storage();
            // A damaged pickle may speak of one storage in several ways, each to be checked.
            MemorySegment all = bytes.computeIfAbsent(s.elements() + " " + s.type() + " " + s.key(),
                    key -> storages.bytes(s));
            long size = s.type().bytes();
            MemorySegment shown = all.asSlice((s.from() + t.offset()) * size, (s.length() - t.offset()) * size);
            tensors.add(new StoredTensor(name, s.type(), t.shape(), t.strides(), order, shown));
        });
        return new Checkpoint(source, format, tensors, found.notes());
    }
}
