package isthmus.backend;

import isthmus.op.Conv;
import isthmus.op.Dropout;
import isthmus.op.Kind;
import isthmus.op.Node;
import isthmus.op.Normalize;
import isthmus.op.Normalized;
import isthmus.op.Op;
import isthmus.op.Reference;
import isthmus.op.Settled;
import isthmus.op.Value;
import isthmus.tensor.ChannelsLast;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;

/**
 * Runs every op's own {@linkplain Op#reference naive Java}: no native code, any op, float32, bf16 and f16 memory, one thread. It
 * is what fast backends are tested against, and it documents the memory contract in the plainest form. Slow on purpose (a
 * hundred to ten thousand times slower than a real backend), and it allocates at every step.
 */
public final class ReferenceBackend implements Backend {
    private static final long ALIGNMENT = 64;

    @Override
    public String name() { return "reference"; }

    @Override
    public Optional<Kernel> prepare(Node node, Function<Value, DType> types) {
        return Optional.of(new NaiveKernel(node, types));
    }

    @Override
    public boolean settles(Node node, int operand, Precision precision) { return true; }

    @Override
    public boolean measures(Node node, Precision precision) { return node.op() instanceof Conv; }

    @Override
    public boolean joinsNorm(Normalize norm, Node reader, Precision precision) { return true; }

    @Override
    public MemorySegment allocate(long bytes, Arena arena) { return arena.allocate(bytes, ALIGNMENT); }

    @Override
    public long freeBytes() { return Long.MAX_VALUE; }

    @Override
    public Optional<String> halfProblem() { return Optional.of("plain Java computes in float32 only"); }

    @Override
    public void enter() {
        // Nothing is kept per thread.
    }

    @Override
    public void close() {
        // Nothing is held.
    }

    /** One value's memory as the op's reference sees it: a float array in logical order. */
    private record Slot(Value value, DType type, boolean rowMajor) {
        /** A row-major array is the channels-last memory of a shape without channels. */
        private Shape memoryShape() {
            return rowMajor ? Shape.of(Math.toIntExact(value.shape().elements())) : value.shape();
        }

        float[] read(MemorySegment memory) { return ChannelsLast.unpack(memory, memoryShape(), type); }

        void write(float[] logical, MemorySegment memory) { ChannelsLast.pack(logical, memoryShape(), type, memory); }

        float[] zeros() { return new float[Math.toIntExact(value.shape().elements())]; }
    }

    private static final class NaiveKernel implements Kernel {
        private final Node node;
        private final List<Slot> in;
        private final List<Slot> out;
        private List<MemorySegment> inMemory = List.of();
        private List<MemorySegment> outMemory = List.of();
        private StepScalars scalars;

        NaiveKernel(Node node, Function<Value, DType> types) {
            this.node = node;
            // What may be a view, is the same memory under another name, whatever the shapes; dropout counts in memory order.
            boolean asItLies = node.op() instanceof Dropout
                    || node.op().isView(node.inputs().stream().map(Value::spec).toList());
            boolean gradients = makesWeightGradient(node.op());
            this.in = node.inputs().stream().map(v -> new Slot(v, types.apply(v),
                    asItLies || v.role() == Value.Role.PARAMETER || v.spec().kind() == Kind.LABEL)).toList();
            this.out = node.outputs().stream().map(v -> new Slot(v, types.apply(v), asItLies || gradients)).toList();
        }

        private static boolean makesWeightGradient(Op op) {
            return switch (op) {
                case Settled s -> makesWeightGradient(s.op());
                case Normalized z -> makesWeightGradient(z.op());
                default -> op instanceof Conv.BackwardWeights;
            };
        }

        @Override
        public String implementation() { return "reference"; }

        @Override
        public void bind(Addresses addresses) {
            inMemory = node.inputs().stream().map(addresses::of).toList();
            outMemory = node.outputs().stream().map(addresses::of).toList();
            scalars = addresses.scalars();
        }

        @Override
        public void run() {
            Copies copies = new Copies();
            node.op().reference(copies);
            for (int i = 0; i < out.size(); i++)
                out.get(i).write(copies.out[i], outMemory.get(i));
            if (!out.isEmpty()) return;
            // A node without results is there for the parameters that it changes.
            for (int i = 0; i < in.size(); i++)
                if (in.get(i).value.role() == Value.Role.PARAMETER) in.get(i).write(copies.in[i], inMemory.get(i));
        }

        /** The copies that one run works on. */
        private final class Copies implements Reference {
            private final float[][] in = new float[NaiveKernel.this.in.size()][];
            private final float[][] out = new float[NaiveKernel.this.out.size()][];

            Copies() {
                for (int i = 0; i < in.length; i++)
                    in[i] = NaiveKernel.this.in.get(i).read(inMemory.get(i));
                for (int i = 0; i < out.length; i++)
                    out[i] = NaiveKernel.this.out.get(i).zeros();
            }

            @Override
            public float[] in(int i) { return in[i]; }

            @Override
            public float[] out(int i) { return out[i]; }

            @Override
            public Shape inShape(int i) { return node.in(i).shape(); }

            @Override
            public Shape outShape(int i) { return node.out(i).shape(); }

            @Override
            public int inputs() { return in.length; }

            @Override
            public long seed() { return scalars.seed(); }

            @Override
            public long step() { return scalars.step(); }

            @Override
            public float lossScale() { return scalars.lossScale(); }
        }
    }
}
