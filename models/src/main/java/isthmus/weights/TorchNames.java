package isthmus.weights;

import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The names that a pickle may ask for, and what they do here: tensors come of them, and nothing else. Arguments as in
 * PyTorch's {@code torch/_utils.py}.
 */
enum TorchNames {
    /** {@code collections.OrderedDict()}. */
    ORDERED_DICT("collections.OrderedDict") {
        @Override
        Py call(List<Py> a) {
            if (!a.isEmpty()) throw new IllegalArgumentException("collections.OrderedDict with arguments");
            return new Py.Dict(new LinkedHashMap<>(), true);
        }
    },
    /** {@code (storage, offset, size, stride, requires_grad, backward_hooks, metadata)}; the last three change no values. */
    REBUILD_TENSOR_V2("torch._utils._rebuild_tensor_v2") {
        @Override
        Py call(List<Py> a) { return tensor(a, 6, 7); }
    },
    /** {@code (storage, offset, size, stride)}: PyTorch before 0.4. */
    REBUILD_TENSOR("torch._utils._rebuild_tensor") {
        @Override
        Py call(List<Py> a) { return tensor(a, 4, 4); }
    },
    /** {@code (data, requires_grad, backward_hooks)}. */
    REBUILD_PARAMETER("torch._utils._rebuild_parameter") {
        @Override
        Py call(List<Py> a) {
            if (a.size() == 3 && a.getFirst() instanceof Py.Tensor t) return t;
            throw new IllegalArgumentException("torch._utils._rebuild_parameter without a tensor");
        }
    },
    /** {@code torch.FloatStorage} and its like, as an argument only. */
    STORAGE("") {
        @Override
        Py call(List<Py> a) { throw new IllegalArgumentException("a storage that does not come from the file"); }
    };

    private static final int MAX_RANK = 16;
    private static final Map<String, DType> STORAGES = Map.ofEntries(Map.entry("torch.FloatStorage", DType.F32),
            Map.entry("torch.HalfStorage", DType.F16), Map.entry("torch.BFloat16Storage", DType.BF16),
            Map.entry("torch.DoubleStorage", DType.F64), Map.entry("torch.LongStorage", DType.I64),
            Map.entry("torch.IntStorage", DType.I32), Map.entry("torch.ShortStorage", DType.I16),
            Map.entry("torch.CharStorage", DType.I8), Map.entry("torch.ByteStorage", DType.U8),
            Map.entry("torch.BoolStorage", DType.BOOL));

    private final String name;

    TorchNames(String name) { this.name = name; }

    /** What a name stands for; empty for every name that is not on the list. */
    static Optional<Py.Name> find(String name) {
        DType type = STORAGES.get(name);
        if (type != null) return Optional.of(new Py.Name(STORAGE, type));
        for (TorchNames known : values())
            if (known.name.equals(name)) return Optional.of(new Py.Name(known, null));
        return Optional.empty();
    }

    /** The name in Python. */
    String text(DType type) {
        return this == STORAGE
                ? STORAGES.entrySet().stream().filter(e -> e.getValue() == type).findAny().orElseThrow().getKey()
                : name;
    }

    /** What Python's call would give; throws {@link IllegalArgumentException} for arguments that make no tensor. */
    abstract Py call(List<Py> arguments);

    private static Py.Tensor tensor(List<Py> a, int least, int most) {
        if (a.size() < least || a.size() > most || !(a.get(0) instanceof Py.Storage storage)
                || !(a.get(1) instanceof Py.Int offset) || !(a.get(2) instanceof Py.Tuple size)
                || !(a.get(3) instanceof Py.Tuple stride))
            throw new IllegalArgumentException("a tensor of " + a.stream().map(Py::kind).toList()
                    + ", expected storage, offset, size and stride");
        List<Long> sizes = longs(size);
        List<Long> strides = longs(stride);
        if (sizes.size() > MAX_RANK || sizes.size() != strides.size())
            throw new IllegalArgumentException("a tensor of size " + sizes + " and stride " + strides);
        Shape shape = shape(sizes);
        long last = Math.addExact(offset.value(), StoredTensor.reach(shape, strides));
        if (offset.value() < 0 || last > storage.length())
            throw new IllegalArgumentException(
                    "a tensor of size " + sizes + ", stride " + strides + " at " + offset.value()
                            + " leaves its storage of " + storage.length() + " elements");
        return new Py.Tensor(storage, offset.value(), shape, strides);
    }

    private static Shape shape(List<Long> sizes) {
        for (long s : sizes)
            if (s < 0 || s > Integer.MAX_VALUE) throw new IllegalArgumentException("a tensor of size " + sizes);
        return Shape.of(sizes.stream().mapToInt(Long::intValue).toArray());
    }

    private static List<Long> longs(Py.Tuple t) {
        List<Long> values = new ArrayList<>();
        for (Py v : t.values()) {
            if (!(v instanceof Py.Int i)) throw new IllegalArgumentException("a size or stride that is a " + v.kind());
            values.add(i.value());
        }
        return values;
    }

    /**
     * The storage that a persistent id names: {@code ('storage', type, key, location, elements)}, before PyTorch 0.4 with
     * {@code (view_key, offset, view_elements)} or None behind. Throws {@link IllegalArgumentException} for any other id.
     */
    static Py.Storage storage(Py id) {
        if (!(id instanceof Py.Tuple t) || t.values().size() < 5 || t.values().size() > 6
                || !t.values().get(0).equals(new Py.Text("storage"))
                || !(t.values().get(1) instanceof Py.Name(TorchNames of, DType type)) || of != STORAGE
                || !(t.values().get(2) instanceof Py.Text key) || !(t.values().get(4) instanceof Py.Int elements))
            throw new IllegalArgumentException("a persistent id that is no storage");
        long n = elements.value();
        if (n < 0 || n > Long.MAX_VALUE / 16) throw new IllegalArgumentException("a storage of " + n + " elements");
        if (t.values().size() == 5 || t.values().get(5) instanceof Py.None)
            return new Py.Storage(key.value(), type, n, 0, n);
        if (t.values().get(5) instanceof Py.Tuple view && view.values().size() == 3
                && view.values().get(1) instanceof Py.Int from && view.values().get(2) instanceof Py.Int length
                && from.value() >= 0 && length.value() >= 0 && from.value() <= n && length.value() <= n - from.value())
            return new Py.Storage(key.value(), type, n, from.value(), length.value());
        throw new IllegalArgumentException("a view that leaves its storage of " + n + " elements");
    }
}
