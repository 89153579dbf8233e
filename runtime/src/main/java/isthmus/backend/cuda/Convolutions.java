package isthmus.backend.cuda;

import static isthmus.backend.cuda.Elementwise.suffix;

import isthmus.backend.Addresses;
import isthmus.backend.Kernel;
import isthmus.op.Conv;
import isthmus.op.Node;
import isthmus.op.Value;
import isthmus.op.Window;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.function.Function;

/**
 * Convolutions by cuDNN's graphs. The float32 master weights become {@code [O,taps,I]} in the compute type before, and their
 * gradients come back from there after.
 */
final class Convolutions {
    /** System property: float32 convolutions and products may round their inputs to TF32. */
    static final String TF32 = "isthmus.tf32";
    private static final long ALIGNMENT = 256;
    private static final long FIRST_WRONG = 90_800;
    private static final long FIRST_RIGHT = 91_600;

    private Convolutions() {}

    /** A plan with the one candidate that was chosen. */
    private record Chosen(ConvPlan plan, ConvPlan.Candidate candidate, ConvProblem problem) {}

    static Kernel forward(Device d, Node n, Function<Value, DType> types) {
        Conv op = (Conv) n.op();
        DType type = types.apply(n.in(0));
        Shape y = n.out(0).shape();
        Chosen c = choose(d, List.of(new ConvProblem(ConvProblem.Direction.FORWARD, op.window(), n.in(0).shape(),
                n.in(1).shape(), y, type, type)));
        long weights = weightBytes(c);
        return kernel(d, c, weights, (a, to) -> {
            MemorySegment w = a.scratch().asSlice(0, weights);
            toCompute(d, to, a.of(n.in(1)), n.in(1).shape(), type, w);
            run(to, c, a.of(n.in(0)), w, a.of(n.out(0)), workspace(a, weights));
            if (op.bias())
                to.add("add_bias", suffix(type), Grid.over(y.elements(), d), a.of(n.out(0)), a.of(n.in(2)),
                        a.of(n.out(0)), y.elements() / y.dim(1), (long) y.dim(1));
        });
    }

    static Kernel backwardData(Device d, Node n, Function<Value, DType> types) {
        Conv.BackwardData op = (Conv.BackwardData) n.op();
        DType type = types.apply(n.in(0));
        Chosen c = choose(d, List.of(new ConvProblem(ConvProblem.Direction.DATA, op.window(), op.x(), n.in(1).shape(),
                n.in(0).shape(), type, type)));
        long weights = weightBytes(c);
        return kernel(d, c, weights, (a, to) -> {
            MemorySegment w = a.scratch().asSlice(0, weights);
            toCompute(d, to, a.of(n.in(1)), n.in(1).shape(), type, w);
            run(to, c, a.of(n.out(0)), w, a.of(n.in(0)), workspace(a, weights));
        });
    }

    static Kernel backwardWeights(Device d, Node n, Function<Value, DType> types) {
        Conv.BackwardWeights op = (Conv.BackwardWeights) n.op();
        DType type = types.apply(n.in(0));
        ConvProblem exact = new ConvProblem(ConvProblem.Direction.WEIGHTS, op.window(), n.in(0).shape(), op.weight(),
                n.in(1).shape(), type, DType.F32);
        // Not every engine of half precision writes float32.
        Chosen c = choose(d, type == DType.F32 ? List.of(exact) : List.of(exact, exact.into(type)));
        long weights = weightBytes(c);
        return kernel(d, c, weights, (a, to) -> {
            MemorySegment w = a.scratch().asSlice(0, weights);
            run(to, c, a.of(n.in(0)), w, a.of(n.in(1)), workspace(a, weights));
            Shape s = op.weight();
            to.add("channels_first", suffix(c.problem.result()) + "_f32", Grid.over(s.elements(), d), w,
                    a.of(n.out(0)), (long) s.dim(0), s.elementsFrom(2), (long) s.dim(1));
            if (!op.bias()) return;
            Shape y = n.in(1).shape();
            long columns = y.dim(1);
            to.add("column_sum", suffix(type), Grid.columns(columns, 1), a.of(n.in(1)), columns, a.of(n.out(1)),
                    y.elements() / columns, columns);
        });
    }

    private static Kernel kernel(Device d, Chosen c, long weights, CudaKernel.Binder binder) {
        return new CudaKernel(d, "cudnn " + c.candidate.name(), weights + c.candidate.workspace(), binder,
                c.plan::close);
    }

    private static Chosen choose(Device d, List<ConvProblem> problems) {
        refuseWrong3d(d, problems.getFirst());
        for (ConvProblem problem : problems) {
            ConvPlan plan = new ConvPlan(d, problem, Boolean.getBoolean(TF32));
            if (!plan.candidates().isEmpty())
                return new Chosen(plan, ConvChoice.best(d, problem, plan), problem);
            plan.close();
        }
        throw new IllegalStateException("cuDNN " + d.libraries.cudnn().version() + " has no engine on " + d.name
                + " for the convolution " + problems.getFirst().key());
    }

    /** Silently wrong results: PyTorch issue 163539. */
    private static void refuseWrong3d(Device d, ConvProblem p) {
        long version = d.libraries.cudnn().version();
        Window w = p.window();
        if (w.axes() == 3 && p.type() != DType.F32 && version >= FIRST_WRONG && version < FIRST_RIGHT) {
            throw new IllegalStateException("cuDNN " + version + " computes 3D convolutions wrong in half precision"
                    + " (9.8 to 9.15 do); install cuDNN 9.16 or newer, or train in fp32");
        }
    }

    private static long weightBytes(Chosen c) {
        long bytes = c.problem.w().elements() * c.problem.weightType().bytes();
        return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }

    private static long workspace(Addresses a, long after) { return a.scratch().address() + after; }

    private static void toCompute(Device d, Launches to, MemorySegment master, Shape s, DType type, MemorySegment w) {
        to.add("channels_last", "_f32" + suffix(type), Grid.over(s.elements(), d), master, w, (long) s.dim(0),
                s.elementsFrom(2), (long) s.dim(1));
    }

    private static void run(Launches to, Chosen c, MemorySegment x, MemorySegment w, MemorySegment y,
            long workspace) {
        MemorySegment pack = c.plan.pack(x.address(), w.address(), y.address(),
                c.candidate.workspace() == 0 ? 0 : workspace);
        to.add(() -> c.plan.run(c.candidate, pack));
    }
}
