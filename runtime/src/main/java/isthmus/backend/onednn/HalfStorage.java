package isthmus.backend.onednn;

import isthmus.backend.Addresses;
import isthmus.backend.Kernel;
import isthmus.backend.StepScalars;
import isthmus.bindings.kernels.Kernels;
import isthmus.op.Cast;
import isthmus.op.Node;
import isthmus.op.Value;
import isthmus.tensor.DType;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * An op on half-precision memory by its float32 kernel: what it reads is converted before, what it makes is rounded after.
 * So every op runs in f16, with float32 arithmetic, at float32's speed less the conversions. No CPU of today has a fast
 * f16 training path (oneDNN falls to reference code for f16 gradients of weights); bf16 is the fast one.
 */
final class HalfStorage implements Kernel {
    private static final long ALIGNMENT = 64;

    private final Kernel inner;
    private final List<Value> reads;
    private final List<Value> makes;
    private final Map<Value, Long> offsets = new LinkedHashMap<>();
    private final long copies;
    private Copy[] before = {};
    private Copy[] after = {};

    private record Copy(int from, MemorySegment x, int to, MemorySegment y, long n) {
        void run() { Kernels.convert(from, x, to, y, n); }
    }

    /** Wraps a kernel that was prepared for {@link #inFloat32}. */
    HalfStorage(Kernel inner, Node node, Function<Value, DType> types) {
        this.inner = inner;
        this.reads = halves(node.inputs(), types);
        this.makes = halves(node.outputs(), types);
        long at = 0;
        for (List<Value> values : List.of(reads, makes)) {
            for (Value v : values) {
                offsets.put(v, at);
                at += aligned(bytes(v));
            }
        }
        this.copies = at;
    }

    /** Whether a node has half-precision values and no kernel of its own for them. */
    static boolean isNeeded(Node node, Function<Value, DType> types) {
        return !(node.op() instanceof Cast)
                && !(halves(node.inputs(), types).isEmpty() && halves(node.outputs(), types).isEmpty());
    }

    /** Element types as the inner kernel sees them. */
    static Function<Value, DType> inFloat32(Function<Value, DType> types) {
        return v -> types.apply(v) == DType.F16 ? DType.F32 : types.apply(v);
    }

    private static List<Value> halves(List<Value> values, Function<Value, DType> types) {
        return values.stream().filter(v -> types.apply(v) == DType.F16).distinct().toList();
    }

    private static long bytes(Value v) { return v.shape().elements() * Float.BYTES; }

    private static long aligned(long bytes) { return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

    @Override
    public String implementation() { return inner.implementation() + ", f16 by float32"; }

    @Override
    public long scratchBytes() { return copies + inner.scratchBytes(); }

    @Override
    public void bind(Addresses outer) {
        inner.bind(new Inside(outer));
        List<Copy> in = new ArrayList<>();
        List<Copy> out = new ArrayList<>();
        for (Value v : reads)
            in.add(new Copy(Kernels.F16, outer.of(v), Kernels.F32, copy(outer, v), v.shape().elements()));
        for (Value v : makes)
            out.add(new Copy(Kernels.F32, copy(outer, v), Kernels.F16, outer.of(v), v.shape().elements()));
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
