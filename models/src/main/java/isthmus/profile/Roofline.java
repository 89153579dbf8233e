package isthmus.profile;

import isthmus.backend.Backend;
import isthmus.backend.Precision;
import isthmus.graph.Call;
import isthmus.graph.Graph;
import isthmus.graph.Program;
import isthmus.op.Conv;
import isthmus.op.Kind;
import isthmus.op.Linear;
import isthmus.op.Relu;
import isthmus.op.Spec;
import isthmus.op.Value;
import isthmus.op.Window;
import isthmus.report.Figures;
import isthmus.tensor.DType;
import isthmus.tensor.Region;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.Arena;
import java.util.Arrays;

/**
 * What a device does at its best, measured by programs of one call (Williams, Waterman and Patterson 2009): no kernel can be
 * faster than its bytes at the bandwidth and its operations at the peak allow.
 *
 * @param bytesPerSecond reading and writing arrays that are larger than caches
 * @param float32 operations a second in float32, the better of a 3x3 convolution and a matrix product
 * @param half the same in the program's own element type
 * @param callNanos the least time of a call, of a kernel with next to nothing to do
 */
public record Roofline(double bytesPerSecond, double float32, double half, double callNanos) {
    private static final int COPY = 1 << 26;
    private static final int RUNS = 5;
    private static final int CALLS = 20_000;
    /** Small positive numbers in float32, bf16 and f16 alike, so that no kernel meets denormals or infinities. */
    private static final byte PATTERN = 0x3c;

    /** Measures, on the thread that entered the backend; takes about a second. */
    public static Roofline measure(Backend backend, Precision precision) {
        double copy = best(copy(COPY), backend, Precision.FP32, RUNS, true);
        double call = best(copy(16), backend, Precision.FP32, CALLS, false) * 1e9;
        double float32 = peak(backend, Precision.FP32);
        return new Roofline(2.0 * COPY * Float.BYTES / copy, float32,
                precision == Precision.FP32 ? float32 : peak(backend, precision), call);
    }

    private static double peak(Backend backend, Precision precision) {
        double most = 0;
        for (Graph graph : new Graph[]{convolution(), product()})
            most = Math.max(most, flops(graph) / best(graph, backend, precision, RUNS, true));
        return most;
    }

    private static double flops(Graph graph) {
        return graph.nodes().stream().mapToLong(n -> n.op().flops(n.inputs().stream().map(Value::spec).toList(),
                n.outputs().stream().map(Value::spec).toList())).sum();
    }

    private static Graph copy(int elements) {
        var graph = new Graph();
        Value x = graph.input("x", Spec.ofFloat(1, elements));
        graph.output("y", graph.apply("copy", new Relu(), x).getFirst());
        return graph;
    }

    /** 20.6 GFLOP; with 5 x 5 taps, so that all its products are made and not saved by Winograd's algorithm. */
    private static Graph convolution() {
        var graph = new Graph();
        Value x = graph.input("x", new Spec(Shape.of(32, 64, 56, 56), Kind.ACTIVATION));
        Value w = graph.parameter("w", Shape.of(64, 64, 5, 5), Region.FROZEN);
        graph.output("y", graph.apply("peak", new Conv(Window.of(2, 5, 1, 2), 1, false), x, w).getFirst());
        return graph;
    }

    /** 17.2 GFLOP. */
    private static Graph product() {
        var graph = new Graph();
        Value x = graph.input("x", new Spec(Shape.of(2048, 2048), Kind.ACTIVATION));
        Value w = graph.parameter("w", Shape.of(2048, 2048), Region.FROZEN);
        graph.output("y", graph.apply("peak", new Linear(false, false), x, w).getFirst());
        return graph;
    }

    /** Seconds of the fastest run, or of the median one. */
    private static double best(Graph graph, Backend backend, Precision precision, int runs, boolean fastest) {
        try (Arena arena = Arena.ofConfined()) {
            WeightBuffer weights = new WeightBuffer(graph.table(), backend.allocate(graph.table().bytes(), arena));
            weights.segment().fill(PATTERN);
            try (Program program = Program.compile(graph, backend, precision, weights, null)) {
                program.input("x").fill(PATTERN);
                var nanos = new long[program.calls().size()];
                program.run(nanos); // touches memory, wakes threads
                var all = new long[runs];
                for (int i = 0; i < runs; i++) {
                    program.run(nanos);
                    all[i] = Arrays.stream(nanos).sum();
                }
                return (fastest ? Arrays.stream(all).min().orElseThrow() : Figures.median(all)) / 1e9;
            }
        }
    }

    /**
     * The share of what the device could do that a call of {@code nanos} reached; more than 1 where data lie in caches, or
     * where an algorithm saves products.
     */
    double share(Call call, double nanos) {
        double peak = call.type() == DType.F32 ? float32 : half;
        double least = Math.max(call.bytes() / bytesPerSecond, call.flops() / peak);
        return least / (nanos / 1e9);
    }
}
