package isthmus.backend.onednn;

import isthmus.backend.Addresses;
import isthmus.bindings.kernels.KernelStructs;
import isthmus.op.Conv;
import isthmus.op.Node;
import isthmus.op.NormConv;
import isthmus.op.Normalize;
import isthmus.op.Op;
import isthmus.op.Value;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/** A convolution or one of its gradients, with a norm on the way or without: where our kernels find what they read and write. */
record ConvNode(Node node, Optional<Normalize> norm, Op conv) {
    /** Mean, variance, gamma, beta. */
    private static final int NORM = 4;

    static ConvNode of(Node n) {
        return switch (n.op()) {
            case NormConv c -> new ConvNode(n, Optional.of(c.norm()), c.conv());
            case NormConv.BackwardWeights w -> new ConvNode(n, Optional.of(w.norm()), w.conv());
            case NormConv.BackwardData d -> new ConvNode(n, Optional.of(d.norm()), d.conv());
            default -> new ConvNode(n, Optional.empty(), n.op());
        };
    }

    Conv forward() { return (Conv) conv; }

    Conv.BackwardWeights backwardWeights() { return (Conv.BackwardWeights) conv; }

    Conv.BackwardData backwardData() { return (Conv.BackwardData) conv; }

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

    /** The C library's form of a data gradient's way through the norm; NULL if there is none. */
    MemorySegment gradient(Addresses a, Arena constants) {
        if (!(node.op() instanceof NormConv.BackwardData d)) return MemorySegment.NULL;
        MemorySegment s = constants.allocate(KernelStructs.NORM_GRADIENT_BYTES, Long.BYTES);
        put(s, a);
        int at = NormConv.BackwardData.ADDED;
        KernelStructs.putNormGradient(s, a.of(x()), a.stride(x()), d.adds() ? a.of(node.in(at)) : MemorySegment.NULL,
                d.adds() ? a.stride(node.in(at)) : 0, d.owes() ? a.of(node.in(at + 1)) : MemorySegment.NULL,
                d.owes() ? a.of(node.in(at + 2)) : MemorySegment.NULL, a.of(node.out(1)), a.of(node.out(2)),
                a.of(node.out(3)), a.of(node.out(4)));
        return s;
    }
}
