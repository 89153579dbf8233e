package isthmus.contract;

import isthmus.backend.Backend;
import isthmus.backend.Precision;
import isthmus.graph.Gradients;
import isthmus.graph.Graph;
import isthmus.graph.Program;
import isthmus.graph.Rewrites;
import isthmus.op.Cast;
import isthmus.op.Kind;
import isthmus.op.Spec;
import isthmus.op.Value;
import isthmus.tensor.ChannelsLast;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** A case compiled on a backend, forward and backward, with its own buffers. */
final class OpRun implements AutoCloseable {
    private static final String UPSTREAM = "dy";

    private final Arena arena = Arena.ofConfined();
    private final Backend backend;
    private final OpCase c;
    private final Graph graph;
    private final Shape shape;
    private final float[] dy;
    private final Program program;
    final WeightBuffer weights;
    final WeightBuffer gradients;

    OpRun(OpCase c, Backend backend, Precision precision) {
        this.c = c;
        backend.enter();
        Graph plain = new Graph();
        Value y = c.declare(plain);
        this.shape = y.shape();
        this.dy = OpCase.grid(c + "/dy", Math.toIntExact(shape.elements()));
        for (int i = 0; i < dy.length; i++)
            dy[i] += 0.25f; // else sums over it cancel to nothing
        if (shape.rank() == 0) Arrays.fill(dy, 1); // a loss: its own gradient is 1
        Value upstream = plain.input(UPSTREAM, new Spec(shape, Kind.FLOAT));
        Gradients.append(plain, y, plain.apply(UPSTREAM, new Cast(y.spec().kind()), upstream).getFirst());
        this.graph = Rewrites.all().afterGradients(plain, backend, precision);
        this.backend = backend;
        this.weights = new WeightBuffer(graph.table(), backend.allocate(graph.table().bytes(), arena));
        this.gradients = new WeightBuffer(graph.table(), backend.allocate(graph.table().bytes(), arena));
        this.program = Program.compile(graph, backend, precision, weights, gradients);
        backend.enter();
        program.scalars().seed(7);
        program.scalars().step(3);
        for (OpCase.Arg a : c.args())
            if (a.isParameter()) pack(a, weights.slice(a.name()));
    }

    private static void pack(OpCase.Arg a, MemorySegment at) {
        switch (a.use()) {
            case WEIGHT, STATISTIC, FROZEN -> MemorySegment.copy(a.values(), 0, at, ValueLayout.JAVA_FLOAT, 0,
                    a.values().length);
            case LABEL -> ChannelsLast.pack(a.values(), Shape.of(a.values().length), DType.I32, at);
            case BYTES -> ChannelsLast.pack(a.values(), Shape.of(a.values().length), DType.U8, at);
            default -> ChannelsLast.pack(a.values(), a.shape(), DType.F32, at);
        }
    }

    void run() {
        for (OpCase.Arg a : c.args())
            if (!a.isParameter()) pack(a, program.input(a.name()));
        ChannelsLast.pack(dy, shape, DType.F32, program.input(UPSTREAM));
        program.run();
    }

    /** What runs each op whose name begins so. */
    List<String> kernels(String op) {
        return program.listing().stream().filter(l -> l.startsWith(op))
                .map(l -> l.substring(l.lastIndexOf("  ")).strip()).toList();
    }

    /** The first word of what runs each op whose name begins so. */
    List<String> implementations(String op) {
        return program.listing().stream().filter(l -> l.startsWith(op))
                .map(l -> l.contains("  own ") ? "own" : l.contains("  cudnn ") ? "cudnn" : l).toList();
    }

    float[] y() { return ChannelsLast.unpack(program.output("y"), shape, DType.F32); }

    /** The number whose gradient was asked: the sum of y times dy. */
    double objective() {
        float[] y = y();
        double sum = 0;
        for (int i = 0; i < y.length; i++)
            sum += (double) y[i] * dy[i];
        return sum;
    }

    /** Everything the case computes or changes, in memory order. */
    Map<String, float[]> results() {
        Map<String, float[]> all = new TreeMap<>();
        backend.toHost(weights.segment());
        backend.toHost(gradients.segment());
        all.put("y", y());
        graph.parameters().keySet()
                .forEach(p -> all.put("value of " + p, weights.slice(p).toArray(ValueLayout.JAVA_FLOAT)));
        graph.parameterGradients().keySet()
                .forEach(p -> all.put("gradient of " + p, gradients.slice(p).toArray(ValueLayout.JAVA_FLOAT)));
        return all;
    }

    @Override
    public void close() {
        program.close();
        arena.close();
    }
}
