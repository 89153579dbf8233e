package isthmus.bench;

import isthmus.backend.Precision;
import isthmus.graph.Graph;
import isthmus.op.Cast;
import isthmus.op.Kind;
import isthmus.op.Spec;
import isthmus.op.Value;
import isthmus.tensor.Shape;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/** Between float32 and half precision. */
@State(Scope.Thread)
public class CastBenchmark {
    private static final Shape SHAPE = Shape.of(1, 1 << 26);

    @Param({"BF16", "F16"})
    private Precision precision;

    private OneOp down;
    private OneOp up;

    @Setup
    public void compile(Cpu cpu) {
        down = program(cpu, Kind.FLOAT, Kind.ACTIVATION);
        up = program(cpu, Kind.ACTIVATION, Kind.FLOAT);
    }

    private OneOp program(Cpu cpu, Kind from, Kind to) {
        var graph = new Graph();
        Value x = graph.input("x", new Spec(SHAPE, from));
        graph.output("y", graph.apply("bench", new Cast(to), x).getFirst());
        return new OneOp(cpu, graph, precision);
    }

    @TearDown
    public void close() {
        down.close();
        up.close();
    }

    @Benchmark
    public void fromFloat32(Cpu cpu, Traffic traffic) { down.run(traffic); }

    @Benchmark
    public void toFloat32(Cpu cpu, Traffic traffic) { up.run(traffic); }
}
