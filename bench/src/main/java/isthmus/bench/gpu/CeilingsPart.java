package isthmus.bench.gpu;

import static isthmus.report.Figures.digits;

import isthmus.backend.Backend;
import isthmus.backend.Backends;
import isthmus.backend.Precision;
import isthmus.graph.Call;
import isthmus.graph.Graph;
import isthmus.graph.Program;
import isthmus.nn.Seeds;
import isthmus.op.Conv;
import isthmus.op.Kind;
import isthmus.op.Linear;
import isthmus.op.Relu;
import isthmus.op.Spec;
import isthmus.op.Value;
import isthmus.op.Window;
import isthmus.report.JsonFile;
import isthmus.tensor.Region;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** What the device reaches at its best through our own calls: a pass over memory, a product of matrices, a convolution. */
final class CeilingsPart {
    /** One line of results: the fastest of some runs. */
    record Rate(String what, String shape, double ms, double tbPerS, double tflopPerS) {}

    private static final int RUNS = 8;
    private static final int BLOCK = 1 << 20;

    private CeilingsPart() {}

    /** Arguments: device, and {@code tiny} for sizes that an emulation can do. */
    public static void main(String[] args) {
        boolean tiny = args.length > 1 && args[1].equals("tiny");
        int rows = tiny ? 32 : 65_536;
        int columns = tiny ? 16 : 4_096;
        try (Backend backend = Backends.open(args[0], 1)) {
            backend.enter();
            print("copy", pass(tiny ? 1 << 12 : 1 << 29), backend);
            print("matrix product", product(rows, columns), backend);
            print("3x3 convolution", convolution(tiny ? 1 : 256, tiny ? 8 : 256, tiny ? 6 : 28), backend);
        }
    }

    private static Graph pass(int elements) {
        var graph = new Graph();
        Value x = graph.input("x", new Spec(Shape.of(1, elements), Kind.ACTIVATION));
        graph.output("y", graph.apply("copy", new Relu(), x).getFirst());
        return graph;
    }

    private static Graph product(int rows, int columns) {
        var graph = new Graph();
        Value x = graph.input("x", new Spec(Shape.of(rows, columns), Kind.ACTIVATION));
        Value w = graph.parameter("w", Shape.of(columns, columns), Region.FROZEN);
        graph.output("y", graph.apply("product", new Linear(false, false), x, w).getFirst());
        return graph;
    }

    private static Graph convolution(int batch, int channels, int edge) {
        var graph = new Graph();
        Value x = graph.input("x", new Spec(Shape.of(batch, channels, edge, edge), Kind.ACTIVATION));
        Value w = graph.parameter("w", Shape.of(channels, channels, 3, 3), Region.FROZEN);
        graph.output("y", graph.apply("conv", new Conv(Window.of(2, 3, 1, 1), 1, false), x, w).getFirst());
        return graph;
    }

    private static void print(String what, Graph graph, Backend backend) {
        try (Arena arena = Arena.ofConfined()) {
            WeightBuffer weights = new WeightBuffer(graph.table(), backend.allocate(graph.table().bytes(), arena));
            backend.toHost(weights.segment());
            for (long i = 0; i < weights.segment().byteSize() / Float.BYTES; i++)
                weights.segment().setAtIndex(ValueLayout.JAVA_FLOAT, i, Seeds.uniform(3, i) - 0.5f);
            try (Program program = Program.compile(graph, backend, Precision.F16, weights, null)) {
                random(program.input("x"));
                long[] nanos = new long[1];
                long least = Long.MAX_VALUE;
                program.run(nanos);
                for (int i = 0; i < RUNS; i++) {
                    program.run(nanos);
                    least = Math.min(least, nanos[0]);
                }
                Call c = program.calls().getFirst();
                System.out
                        .println(JsonFile.line(new Rate(what, c.node().in(0).shape() + "", digits(least / 1e6),
                                digits(c.bytes() / 1e3 / least), digits(c.flops() / 1e3 / least))));
            }
        }
    }

    /** Zeros are faster than numbers: they save power. One block of random halves again and again is as good as more. */
    private static void random(MemorySegment at) {
        long block = Math.min(BLOCK, at.byteSize());
        for (long i = 0; i < block / Short.BYTES; i++)
            at.setAtIndex(ValueLayout.JAVA_SHORT, i, Float.floatToFloat16(Seeds.uniform(5, i) - 0.5f));
        for (long to = block; to < at.byteSize(); to += block)
            MemorySegment.copy(at, 0, at, to, Math.min(block, at.byteSize() - to));
    }
}
