package isthmus.backend.onednn;

import isthmus.backend.Addresses;
import isthmus.bindings.kernels.KernelStructs;
import isthmus.op.Conv;
import isthmus.op.Measured;
import isthmus.op.Node;
import isthmus.op.Normalize;
import isthmus.op.Normalized;
import isthmus.op.Op;
import isthmus.op.Settled;
import isthmus.op.Value;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/** What our kernels of convolutions and averages, and of their gradients, read: with a norm on the way or without. */
record Operands(Node node, Op whole, int inputs, Optional<Normalize> norm, Op op) {
    /** Mean, variance, gamma, beta. */
    private static final int NORM = 4;

    static Operands of(Node n) { return of(n, n.op(), n.inputs().size()); }

    /** Of an op that a node's is or has within, and so many of the node's inputs. */
    private static Operands of(Node n, Op op, int inputs) {
        return switch (op) {
            case Measured m -> of(n, m.op(), inputs);
            case Settled s -> of(n, s.op(), inputs - Settled.BEHIND);
            case Normalized z -> new Operands(n, op, inputs, Optional.of(z.norm()), z.op());
            case Normalized.Gradient d -> new Operands(n, op, inputs, Optional.of(d.norm()), d.op());
            default -> new Operands(n, op, inputs, Optional.empty(), op);
        };
    }

    Conv forward() { return (Conv) op; }

    Conv.BackwardWeights backwardWeights() { return (Conv.BackwardWeights) op; }

    Conv.BackwardData backwardData() { return (Conv.BackwardData) op; }

    /** What goes in: of a forward convolution and a weight gradient x. */
    Value x() { return node.in(0); }

    /** The operand after x: the weight, or dy of a weight gradient; then the bias. */
    Value operand(int i) {
        return node.in((norm.isPresent() ? NORM : 0) + i);
    }

    /** A data gradient's dy: it has no x unless there is a norm. */
    Value dy() {
        return norm.isPresent() ? operand(1) : node.in(0);
    }

    /** A data gradient's weight. */
    Value weight() { return norm.isPresent() ? operand(2) : node.in(1); }

    /** Where a result's mean goes; NULL if nobody takes it. */
    MemorySegment mean(Addresses a) {
        return node.op() instanceof Measured ? a.of(node.out(1)) : MemorySegment.NULL;
    }

    /** The same for its variance. */
    MemorySegment variance(Addresses a) {
        return node.op() instanceof Measured ? a.of(node.out(2)) : MemorySegment.NULL;
    }

    /** The C library's form of the norm; NULL if there is none. */
    MemorySegment norm(Addresses a, Arena constants) {
        if (norm.isEmpty()) return MemorySegment.NULL;
        MemorySegment s = constants.allocate(KernelStructs.NORM_BYTES, Long.BYTES);
        put(s, a);
        return s;
    }

    private void put(MemorySegment to, Addresses a) {
        Normalize z = norm.orElseThrow();
        KernelStructs.putNorm(to, a.of(node.in(1)), a.of(node.in(2)), a.of(node.in(3)), a.of(node.in(4)),
                z.epsilon(), NormKernels.code(z.activation()));
    }

    /** The C library's form of what is still to be settled of dy; NULL if nothing is. */
    MemorySegment owed(Addresses a, Arena constants) {
        if (!(node.op() instanceof Settled)) return MemorySegment.NULL;
        MemorySegment s = constants.allocate(KernelStructs.OWED_BYTES, Long.BYTES);
        KernelStructs.putOwed(s, a.of(node.in(inputs)), a.stride(node.in(inputs)), a.of(node.in(inputs + 1)),
                a.of(node.in(inputs + 2)));
        return s;
    }

    /** The C library's form of a data gradient's way through the norm; NULL if there is none. */
    MemorySegment gradient(Addresses a, Arena constants) {
        if (!(whole instanceof Normalized.Gradient d)) return MemorySegment.NULL;
        MemorySegment s = constants.allocate(KernelStructs.NORM_GRADIENT_BYTES, Long.BYTES);
        put(s, a);
        int at = d.added(inputs);
        KernelStructs.putNormGradient(s, a.of(x()), a.stride(x()), d.adds() ? a.of(node.in(at)) : MemorySegment.NULL,
                d.adds() ? a.stride(node.in(at)) : 0, d.owes() ? a.of(node.in(at + 1)) : MemorySegment.NULL,
                d.owes() ? a.of(node.in(at + 2)) : MemorySegment.NULL, a.of(node.out(1)), a.of(node.out(2)),
                a.of(node.out(3)), a.of(node.out(4)));
        return s;
    }
}
