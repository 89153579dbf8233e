package isthmus.backend.onednn;

import isthmus.backend.Addresses;
import isthmus.backend.Kernel;
import isthmus.backend.StepScalars;
import isthmus.bindings.kernels.Kernels;
import isthmus.op.Cast;
import isthmus.op.Conv;
import isthmus.op.Linear;
import isthmus.op.Node;
import isthmus.op.Op;
import isthmus.op.Value;
import isthmus.tensor.DType;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/**
 * An op on half-precision memory by its float32 kernel: what it reads is converted before, what it makes is rounded after.
 * So every op runs in f16, with float32 arithmetic, at float32's speed less the conversions. No CPU of today has a fast
 * f16 training path (oneDNN falls to reference code for f16 gradients of weights); bf16 is the fast one, and where the
 * processor lacks AVX-512, for which oneDNN has products of bf16, these are computed so as well.
 */
final class HalfStorage implements Kernel {
    private static final long ALIGNMENT = 64;

    private final Kernel inner;
    private final DType half;
    private final List<Value> reads;
    private final List<Value> makes;
    private final Map<Value, Long> offsets = new LinkedHashMap<>();
    private final long copies;
    private Copy[] before = {};
    private Copy[] after = {};

    private record Copy(int from, MemorySegment x, int to, MemorySegment y, long n) {
        void run() { Kernels.convert(from, x, to, y, n); }
    }

    /** Wraps a kernel that was prepared for {@link #inFloat32}; {@code half} is the type that is stored only. */
    HalfStorage(Kernel inner, Node node, Function<Value, DType> types, DType half) {
        this.inner = inner;
        this.half = half;
        this.reads = halves(node.inputs(), types, half);
        this.makes = halves(node.outputs(), types, half);
        long at = 0;
        for (List<Value> values : List.of(reads, makes)) {
            for (Value v : values) {
                offsets.put(v, at);
                at += aligned(bytes(v));
            }
        }
        this.copies = at;
    }

    /**
     * The half-precision type of a node's values for which it has no kernel of its own; nothing if it has.
     *
     * @param bf16Products whether oneDNN has products of bf16 on this processor
     */
    static Optional<DType> of(Node node, Function<Value, DType> types, boolean bf16Products) {
        if (!(node.op() instanceof Cast) && has(node, types, DType.F16)) return Optional.of(DType.F16);
        return !bf16Products && isProduct(node.op()) && has(node, types, DType.BF16)
                ? Optional.of(DType.BF16)
                : Optional.empty();
    }

    /** What oneDNN does; our own kernels, also those of grouped convolutions, take bf16 on every processor. */
    private static boolean isProduct(Op op) {
        return switch (op) {
            case Conv c -> c.groups() == 1;
            case Conv.BackwardData c -> c.groups() == 1;
            case Conv.BackwardWeights c -> c.groups() == 1;
            case Linear l -> true;
            case Linear.BackwardData l -> true;
            case Linear.BackwardWeights l -> true;
            default -> false;
        };
    }

    private static boolean has(Node node, Function<Value, DType> types, DType half) {
        return !(halves(node.inputs(), types, half).isEmpty() && halves(node.outputs(), types, half).isEmpty());
    }

    /** Element types as the inner kernel sees them. */
    static Function<Value, DType> inFloat32(Function<Value, DType> types, DType half) {
        return v -> types.apply(v) == half ? DType.F32 : types.apply(v);
    }

    private static List<Value> halves(List<Value> values, Function<Value, DType> types, DType half) {
        return values.stream().filter(v -> types.apply(v) == half).distinct().toList();
    }

    private static long bytes(Value v) { return v.shape().elements() * Float.BYTES; }

    private static long aligned(long bytes) { return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

    @Override
    public String implementation() {
        return inner.implementation() + ", " + half.name().toLowerCase(Locale.ROOT) + " by float32";
    }

    @Override
    public long scratchBytes() { return copies + inner.scratchBytes(); }

    @Override
    public void bind(Addresses outer) {
        inner.bind(new Inside(outer));
        List<Copy> in = new ArrayList<>();
        List<Copy> out = new ArrayList<>();
        for (Value v : reads)
            in.add(new Copy(OwnKernels.code(half), outer.of(v), Kernels.F32, copy(outer, v), v.shape().elements()));
        for (Value v : makes)
            out.add(new Copy(Kernels.F32, copy(outer, v), OwnKernels.code(half), outer.of(v), v.shape().elements()));
        before = in.toArray(Copy[]::new);
        after = out.toArray(Copy[]::new);
    }

    private MemorySegment copy(Addresses outer, Value v) { return outer.scratch().asSlice(offsets.get(v), bytes(v)); }

    @Override
    public void run() {
        for (Copy c : before)
            c.run();
        inner.run();
        for (Copy c : after)
            c.run();
    }

    @Override
    public void close() { inner.close(); }

    /** Addresses as the inner kernel sees them. */
    private final class Inside implements Addresses {
        private final Addresses outer;

        Inside(Addresses outer) { this.outer = outer; }

        @Override
        public MemorySegment of(Value v) { return offsets.containsKey(v) ? copy(outer, v) : outer.of(v); }

        @Override
        public long stride(Value v) { return outer.stride(v); }

        @Override
        public MemorySegment scratch() {
            return inner.scratchBytes() == 0 ? MemorySegment.NULL : outer.scratch().asSlice(copies);
        }

        @Override
        public StepScalars scalars() { return outer.scalars(); }
    }
}
