package isthmus.backend.cuda;

import static isthmus.backend.cuda.Elementwise.suffix;

import isthmus.backend.Addresses;
import isthmus.backend.Kernel;
import isthmus.op.Activation;
import isthmus.op.GroupNorm;
import isthmus.op.Node;
import isthmus.op.NormBackward;
import isthmus.op.Normalize;
import isthmus.op.UpdateStatistics;
import isthmus.op.Value;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.lang.foreign.MemorySegment;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * Batch and group normalisation by our own kernels. Statistics belong to a (sample, group) pair: for batch norm the batch is
 * one sample and each channel a group.
 */
final class Norms {
    private Norms() {}

    /** Rows of one sample, channels, samples and groups, and how many blocks share a sample's rows. */
    record Extent(DType type, long rows, long c, long samples, long groups, int splits) {
        static Extent batch(Device d, Shape s, DType type) {
            return of(d, type, s.elements() / s.dim(1), s.dim(1), 1, s.dim(1));
        }

        static Extent group(Device d, Shape s, DType type, int groups) {
            return of(d, type, s.elementsFrom(2), s.dim(1), s.dim(0), groups);
        }

        private static Extent of(Device d, DType type, long rows, long c, long samples, long groups) {
            final long blocksEach = 8;
            final long rowsAtLeast = 64;
            final long most = 512;
            long across = samples * ((c + Grid.THREADS - 1) / Grid.THREADS);
            long wanted = d.multiprocessors * blocksEach / across;
            long splits = Math.max(1, Math.min(Math.min(wanted, rows / rowsAtLeast), most));
            return new Extent(type, rows, c, samples, groups, (int) splits);
        }

        /** Bytes of the partial sums. */
        long partial() { return samples * splits * 2 * c * Float.BYTES; }

        /** Bytes of the partial sums and the coefficients of a backward pass. */
        long backwardScratch() {
            return partial() + 2 * samples * groups * Float.BYTES;
        }

        /** Rows that lie close together. */
        Rows rows(MemorySegment at) { return new Rows(at, c); }

        /** Packs of 16 bytes if all lies well. */
        boolean wide(Rows... all) {
            return c * type.bytes() % Rows.ALIGNMENT == 0 && Stream.of(all).allMatch(r -> r.isAligned(type));
        }

        String name(boolean wide) { return suffix(type) + (wide ? "_wide" : "_v1"); }

        Grid grid(boolean wide, int blocks) {
            final int lanes = 32;
            int pack = wide ? 16 / type.bytes() : 1;
            long packs = (c + pack - 1) / pack;
            int across = (int) Math.min(lanes, Long.highestOneBit(Math.max(1, 2 * packs - 1)));
            return new Grid((int) ((packs + across - 1) / across), blocks, (int) samples, across,
                    Grid.THREADS / across);
        }

        /** For so many sums over what the blocks have left: neighbours of one 32-byte sector, each shared by some threads. */
        Grid sums(long results) {
            final int neighbours = 8;
            final int most = 32;
            long each = splits * Math.max(samples, c / groups);
            int lanes = (int) Math.min(most, Long.highestOneBit(each));
            return new Grid(Math.toIntExact((results + neighbours - 1) / neighbours), 1, 1, neighbours, lanes);
        }

        /** For the passes that write: as many blocks as give each thread a few rows. */
        Grid apply(Device d, boolean wide) {
            final long rowsEach = 4;
            Grid g = grid(wide, 1);
            long blocks = Math.max(1, rows / (rowsEach * g.threadsY()));
            long most = Math.max(1, (long) d.multiprocessors * 16 / ((long) g.x() * g.z()));
            return new Grid(g.x(), (int) Math.min(Math.min(blocks, most), 65_535), g.z(), g.threadsX(), g.threadsY());
        }
    }

    static Kernel statistics(Device d, Node n, Function<Value, DType> types) {
        Extent e = Extent.batch(d, n.in(0).shape(), types.apply(n.in(0)));
        return new CudaKernel(d, "own channel_statistics", e.partial(),
                (a, to) -> statistics(e, to, Rows.of(a, n.in(0)), a.of(n.out(0)), a.of(n.out(1)), a.scratch()));
    }

    private static void statistics(Extent e, Launches to, Rows x, MemorySegment mean,
            MemorySegment variance, MemorySegment partial) {
        boolean wide = e.wide(x);
        to.add("norm_sums", e.name(wide), e.grid(wide, e.splits), x.at(), x.apart(), e.rows, e.c, partial);
        to.add("norm_statistics", suffix(e.type), e.sums(e.samples * e.groups), partial, x.at(), x.apart(),
                (long) e.splits,
                e.samples, e.rows, e.c, e.groups, mean, variance);
    }

    static Kernel update(Device d, Node n, Function<Value, DType> types) {
        UpdateStatistics op = (UpdateStatistics) n.op();
        long c = n.in(0).shape().elements();
        return new CudaKernel(d, "own update_statistics", 0, (a, to) -> to.add("update_statistics", "", Grid.over(c, d),
                a.of(n.in(0)), a.of(n.in(1)), a.of(n.in(2)), a.of(n.in(3)), op.momentum(), op.count(), c));
    }

    static Kernel forward(Device d, Node n, Function<Value, DType> types) {
        Normalize op = (Normalize) n.op();
        Extent e = Extent.batch(d, n.in(0).shape(), types.apply(n.in(0)));
        return new CudaKernel(d, "own batch_norm" + op.activation().suffix(), 0,
                (a, to) -> apply(d, e, to, Rows.of(a, n.in(0)), a.of(n.in(1)), a.of(n.in(2)), a.of(n.in(3)),
                        a.of(n.in(4)), op.epsilon(), op.residual() ? e.rows(a.of(n.in(5))) : Rows.NONE, op.activation(),
                        Rows.of(a, n.out(0))));
    }

    static Kernel group(Device d, Node n, Function<Value, DType> types) {
        GroupNorm op = (GroupNorm) n.op();
        Extent e = Extent.group(d, n.in(0).shape(), types.apply(n.in(0)), op.groups());
        return new CudaKernel(d, "own group_norm" + op.activation().suffix(), e.partial(), (a, to) -> {
            Rows x = Rows.of(a, n.in(0));
            statistics(e, to, x, a.of(n.out(1)), a.of(n.out(2)), a.scratch());
            apply(d, e, to, x, a.of(n.out(1)), a.of(n.out(2)), a.of(n.in(1)), a.of(n.in(2)), op.epsilon(),
                    op.residual() ? e.rows(a.of(n.in(3))) : Rows.NONE, op.activation(), Rows.of(a, n.out(0)));
        });
    }

    private static void apply(Device d, Extent e, Launches to, Rows x, MemorySegment mean,
            MemorySegment variance, MemorySegment gamma, MemorySegment beta, float epsilon, Rows residual,
            Activation activation, Rows y) {
        boolean wide = e.wide(x, residual, y);
        to.add("norm_apply", e.name(wide), e.apply(d, wide), x.at(), x.apart(), mean, variance, e.groups, gamma,
                beta, epsilon, residual.at(), code(activation), y.at(), y.apart(), e.rows, e.c);
    }

    static Kernel backward(Device d, Node n, Function<Value, DType> types) {
        Normalize.BackwardPass op = (Normalize.BackwardPass) n.op();
        Extent e = Extent.batch(d, n.in(0).shape(), types.apply(n.in(0)));
        return backward(d, n, e, op.epsilon(), op.activation(), op.constant());
    }

    static Kernel groupBackward(Device d, Node n, Function<Value, DType> types) {
        GroupNorm.BackwardPass op = (GroupNorm.BackwardPass) n.op();
        Extent e = Extent.group(d, n.in(0).shape(), types.apply(n.in(0)), op.groups());
        return backward(d, n, e, op.epsilon(), op.activation(), false);
    }

    private static Kernel backward(Device d, Node n, Extent e, float epsilon, Activation activation,
            boolean constant) {
        String name = "own " + n.op().name() + activation.suffix() + (((NormBackward) n.op()).adds() ? "+add" : "");
        return new CudaKernel(d, name, e.backwardScratch(),
                (a, to) -> backward(d, e, to, new Pass(n, a, epsilon, activation, constant)));
    }

    private record Pass(Node n, Addresses a, float epsilon, Activation activation, boolean constant) {
        MemorySegment in(int i) { return a.of(n.in(i)); }

        MemorySegment out(int i) { return a.of(n.out(i)); }

        NormBackward op() { return (NormBackward) n.op(); }
    }

    private static void backward(Device d, Extent e, Launches to, Pass p) {
        Rows x = Rows.of(p.a, p.n.in(0));
        Rows dx = Rows.of(p.a, p.n.out(0));
        Rows add = p.op().adds() ? Rows.of(p.a, p.n.inputs().getLast()) : Rows.NONE;
        MemorySegment dy = p.in(1);
        MemorySegment y = p.op().masked() ? p.in(6) : MemorySegment.NULL;
        MemorySegment branch = p.op().masked() ? p.out(3) : MemorySegment.NULL;
        MemorySegment partial = p.a.scratch().asSlice(0, e.partial());
        MemorySegment coefficient = p.a.scratch().asSlice(e.partial());
        int activation = code(p.activation);
        boolean wide = e.wide(x, e.rows(dy), e.rows(y), e.rows(branch), add, dx);
        to.add("norm_backward_sums", e.name(wide), e.grid(wide, e.splits), x.at(), x.apart(), y, dy, p.in(2), p.in(3),
                e.groups, p.in(4), p.in(5), p.epsilon, activation, e.rows, e.c, partial);
        finish(e, to, p.in(4), p.constant, p.out(1), p.out(2), p.a.scratch());
        to.add("norm_backward_apply", e.name(wide), e.apply(d, wide), x.at(), x.apart(), y, dy, p.in(2), p.in(3),
                e.groups, p.in(4), p.in(5), p.epsilon, activation, coefficient, add.at(), add.apart(), dx.at(),
                dx.apart(), branch, e.rows, e.c);
    }

    /** From the sums of a backward pass in scratch memory: dgamma, dbeta, and behind the sums the coefficients of dx. */
    static void finish(Extent e, Launches to, MemorySegment gamma, boolean constant, MemorySegment dgamma,
            MemorySegment dbeta, MemorySegment scratch) {
        to.add("norm_backward_finish", "", e.sums(e.c + e.samples * e.groups), scratch, gamma, (long) e.splits,
                e.samples, e.rows, e.c, e.groups, constant ? 1 : 0, dgamma, dbeta, scratch.asSlice(e.partial()));
    }

    static Kernel frozenBackward(Device d, Node n, Function<Value, DType> types) {
        Normalize.FrozenBackwardPass op = (Normalize.FrozenBackwardPass) n.op();
        Shape s = n.in(0).shape();
        long c = s.dim(1);
        return new CudaKernel(d, "own frozen_batch_norm_backward", 0,
                (a, to) -> to.add("frozen_norm_backward", suffix(types.apply(n.in(0))), Grid.over(s.elements(), d),
                        a.of(n.in(0)), a.of(n.in(1)), a.of(n.in(2)), op.epsilon(), a.of(n.out(0)), s.elements() / c,
                        c));
    }

    /** The kernels' number of an activation. */
    static int code(Activation activation) {
        return switch (activation) {
            case NONE -> 0;
            case RELU -> 1;
            case SILU -> 2;
        };
    }
}
