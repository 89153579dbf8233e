package isthmus.weights;

import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.util.List;
import java.util.Map;

/** The only values that {@link Unpickler} makes: Python's plain ones, and tensors. */
sealed interface Py {
    /** str; comparable so that keys with one hash code, as a hostile file may have, stay cheap to tell apart. */
    record Text(String value) implements Py, Comparable<Text> {
        @Override
        public int compareTo(Text other) { return value.compareTo(other.value); }
    }

    /** int of at most 64 bits. */
    record Int(long value) implements Py {}

    /** int of more bits; only PyTorch's own mark at the start of a file is one. */
    record Big(java.math.BigInteger value) implements Py {}

    /** float. */
    record Real(double value) implements Py {}

    /** bool. */
    record Truth(boolean value) implements Py {}

    /** None. */
    record None() implements Py {}

    /** list; grows while it is read. */
    record Items(List<Py> values) implements Py {}

    /** tuple. */
    record Tuple(List<Py> values) implements Py {}

    /** dict, or collections.OrderedDict where {@code ordered}; grows while it is read. */
    record Dict(Map<Py, Py> values, boolean ordered) implements Py {}

    /** One of the few names that a pickle may ask for. */
    record Name(TorchNames of, DType type) implements Py {}

    /**
     * A stretch of memory that tensors lie in.
     *
     * @param key where the file has it
     * @param elements its length; {@code from} and {@code length} say which of them this storage shows
     */
    record Storage(String key, DType type, long elements, long from, long length) implements Py {}

    /** A tensor in a storage; {@code offset} and {@code strides} count elements of it. */
    record Tensor(Storage storage, long offset, Shape shape, List<Long> strides) implements Py {}

    /** What Python calls a value of this kind. */
    default String kind() {
        return switch (this) {
            case Text t -> "str";
            case Int i -> "int";
            case Big b -> "int";
            case Real r -> "float";
            case Truth t -> "bool";
            case None n -> "NoneType";
            case Items i -> "list";
            case Tuple t -> "tuple";
            case Dict d -> d.ordered ? "collections.OrderedDict" : "dict";
            case Name n -> n.of.text(n.type);
            case Storage s -> "storage";
            case Tensor t -> "torch.Tensor";
        };
    }
}
