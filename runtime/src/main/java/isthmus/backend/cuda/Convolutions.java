package isthmus.backend.cuda;

import static isthmus.backend.cuda.Elementwise.suffix;

import isthmus.backend.Kernel;
import isthmus.op.Conv;
import isthmus.op.Node;
import isthmus.op.Value;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.function.ToLongFunction;

/** Convolutions by the engine that is fastest for their shape: one of cuDNN's, or our own for depthwise ones. */
final class Convolutions {
    /** System property: float32 convolutions and products may round their inputs to TF32. */
    static final String TF32 = "isthmus.tf32";
    private static final long FIRST_WRONG = 90_800;
    private static final long FIRST_RIGHT = 91_600;

    private Convolutions() {}

    static Kernel forward(Device d, Node n, Function<Value, DType> types,
            ToLongFunction<Value> strides) {
        ConvEngine engine = choose(d, ConvProblem.of(n, types, strides));
        Shape y = n.out(0).shape();
        boolean bias = ((Conv) n.op()).bias();
        long copy = ComputeCopy.bytes(n.in(1), types.apply(n.in(0)));
        return new CudaKernel(d, engine.name(), copy + engine.scratch(), (a, to) -> {
            MemorySegment w = ComputeCopy.of(n.in(1), types.apply(n.in(0)), a, d, to);
            engine.bind(to, a.of(n.in(0)), w, a.of(n.out(0)), rest(a.scratch(), copy));
            if (bias)
                to.add("add_bias", suffix(types.apply(n.in(0))), Grid.over(y.elements(), d), a.of(n.out(0)),
                        a.of(n.in(2)), a.of(n.out(0)), y.elements() / y.dim(1), (long) y.dim(1));
        }, engine::close);
    }

    static Kernel backwardData(Device d, Node n, Function<Value, DType> types,
            ToLongFunction<Value> strides) {
        ConvEngine engine = choose(d, ConvProblem.of(n, types, strides));
        long copy = ComputeCopy.bytes(n.in(1), types.apply(n.in(0)));
        return new CudaKernel(d, engine.name(), copy + engine.scratch(), (a, to) -> {
            MemorySegment w = ComputeCopy.of(n.in(1), types.apply(n.in(0)), a, d, to);
            engine.bind(to, a.of(n.out(0)), w, a.of(n.in(0)), rest(a.scratch(), copy));
        }, engine::close);
    }

    static Kernel backwardWeights(Device d, Node n, Function<Value, DType> types,
            ToLongFunction<Value> strides) {
        ConvEngine engine = choose(d, ConvProblem.of(n, types, strides));
        Shape y = n.in(1).shape();
        long columns = y.dim(1);
        boolean bias = ((Conv.BackwardWeights) n.op()).bias();
        return new CudaKernel(d, engine.name(), engine.scratch(), (a, to) -> {
            engine.bind(to, a.of(n.in(0)), a.of(n.out(0)), a.of(n.in(1)), a.scratch());
            if (bias)
                to.add("column_sum", suffix(types.apply(n.in(0))), Grid.columns(columns, 1), a.of(n.in(1)), columns,
                        a.of(n.out(1)), y.elements() / columns, columns);
        }, engine::close);
    }

    private static MemorySegment rest(MemorySegment scratch, long from) {
        return MemorySegment.ofAddress(scratch.address() + from);
    }

    private static ConvEngine choose(Device d, List<ConvProblem> problems) {
        ConvProblem first = problems.getFirst();
        refuseWrong3d(d.libraries.cudnn().version(), first);
        Optional<ConvEngine> known = ConvChoice.known(d, first)
                .flatMap(name -> engines(d, problems, name::equals).stream().findFirst());
        if (known.isPresent()) return known.get();
        List<ConvEngine> engines = engines(d, problems, name -> true);
        if (engines.isEmpty())
            throw new IllegalStateException("cuDNN " + d.libraries.cudnn().version() + " has no engine on " + d.name
                    + " for the convolution " + first.key());
        ConvEngine best = ConvChoice.best(d, first, engines);
        Set<ConvPlan> plans = Collections.newSetFromMap(new IdentityHashMap<>());
        engines.forEach(e -> { if (e instanceof CudnnConv c) plans.add(c.plan()); });
        for (ConvPlan plan : plans)
            if (best instanceof CudnnConv chosen && chosen.plan() == plan) plan.keep(chosen.candidate());
            else
                plan.close();
        return best;
    }

    /** All engines of these names. Making a plan takes far longer than asking for what there is. */
    private static List<ConvEngine> engines(Device d, List<ConvProblem> problems, Predicate<String> named) {
        List<ConvEngine> engines = new ArrayList<>();
        DepthwiseConv.of(d, problems.getFirst()).filter(e -> named.test(e.name())).ifPresent(engines::add);
        for (ConvProblem problem : problems) {
            ConvPlan plan = new ConvPlan(ConvTarget.of(d.libraries.cudnn(), d.cudnn), problem, Boolean.getBoolean(TF32),
                    candidate -> named.test(CudnnConv.name(problem, candidate)));
            if (plan.candidates().isEmpty()) plan.close();
            plan.candidates().forEach(c -> engines.add(new CudnnConv(d, plan, c)));
        }
        return engines;
    }

    /** Silently wrong results: PyTorch issue 163539. */
    static void refuseWrong3d(long version, ConvProblem p) {
        if (p.window().axes() == 3 && p.type() != DType.F32 && version >= FIRST_WRONG && version < FIRST_RIGHT) {
            throw new IllegalStateException("cuDNN " + version + " computes 3D convolutions wrong in half precision"
                    + " (9.8 to 9.15 do); install cuDNN 9.16 or newer, or train in fp32");
        }
    }
}
