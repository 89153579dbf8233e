package isthmus.weights;

import java.lang.foreign.MemorySegment;
import java.math.BigInteger;
import java.nio.ByteOrder;
import java.util.HashMap;
import java.util.Map;

/**
 * PyTorch's format before 1.6, which many published weights still have: pickles of a mark, a version, the machine, the
 * object and the storages' keys; behind them each storage's length and bytes. As in {@code torch/serialization.py}.
 */
final class TorchLegacy {
    private static final BigInteger MARK = new BigInteger("1950a86a20f9469cfc6c", 16);
    private static final long VERSION = 1001;

    private final MappedFile file;
    private final PickleBytes in;
    private final Unpickler unpickler;
    private final Map<String, MemorySegment> storages = new HashMap<>();

    private TorchLegacy(MappedFile file) {
        this.file = file;
        this.in = new PickleBytes(file.name(), file.bytes());
        this.unpickler = new Unpickler(file.name(), in);
    }

    static Checkpoint read(MappedFile file) { return new TorchLegacy(file).checkpoint(); }

    private Checkpoint checkpoint() {
        if (!(unpickler.load() instanceof Py.Big mark) || !mark.value().equals(MARK))
            throw file.wrong("is a pickle, but none that torch.save made; in Python, save the weights with "
                    + "torch.save(model.state_dict(), FILE)");
        if (!(unpickler.load() instanceof Py.Int version) || version.value() != VERSION)
            throw file.wrong("is of another version of PyTorch's old format than " + VERSION
                    + "; save it again with PyTorch 1.6 or newer");
        ByteOrder order = order(unpickler.load());
        StateDict.Found found = StateDict.find(file.name(), unpickler.load());
        storages(unpickler.load(), order);
        return Checkpoint.of(file.name(), "PyTorch before 1.6", found, order, this::storage);
    }

    private ByteOrder order(Py machine) {
        if (machine instanceof Py.Dict d
                && d.values().get(new Py.Text("little_endian")) instanceof Py.Truth(boolean little))
            return little ? ByteOrder.LITTLE_ENDIAN : ByteOrder.BIG_ENDIAN;
        throw file.wrong("does not say its byte order; fetch the file again");
    }

    /** The storages follow one another without padding, in the order of their keys. */
    private void storages(Py keys, ByteOrder order) {
        if (!(keys instanceof Py.Items list)) throw file.wrong("has no list of storages; fetch the file again");
        for (Py key : list.values()) {
            Py.Storage s = key instanceof Py.Text t ? unpickler.storage(t.value()) : null;
            if (s == null) throw file.wrong("has a storage that nothing refers to; fetch the file again");
            long elements = in.i64();
            if (order == ByteOrder.BIG_ENDIAN) elements = Long.reverseBytes(elements);
            if (elements != s.elements())
                throw file.wrong("its storage " + s.key() + " has " + elements + " elements, its pickle speaks of "
                        + s.elements() + "; fetch the file again");
            long bytes = elements * s.type().bytes();
            long at = in.at();
            in.skip(bytes);
            storages.put(s.key(), file.view(at, bytes));
        }
    }

    private MemorySegment storage(Py.Storage s) {
        MemorySegment bytes = storages.get(s.key());
        if (bytes == null || bytes.byteSize() != s.elements() * s.type().bytes())
            throw file.wrong("lacks the storage " + s.key() + "; fetch the file again");
        return bytes;
    }
}
