package isthmus.data;

import isthmus.backend.Backend;
import isthmus.backend.Precision;
import isthmus.graph.Graph;
import isthmus.graph.Program;
import isthmus.op.Cast;
import isthmus.op.Kind;
import isthmus.op.Value;
import isthmus.op.WarpAffine;
import isthmus.tensor.Region;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** What a program makes of raw pictures. */
public final class Warped {
    private Warped() {}

    /** The op that a preprocessing is. */
    public static WarpAffine op(Preprocess p) {
        return new WarpAffine(p.raw(), p.size(), p.mean().stream().map(Double::floatValue).toList(),
                p.std().stream().map(s -> (float) (1 / s)).toList());
    }

    /** Channels-last float32 pictures, made on a backend. */
    public static float[] on(Backend backend, Preprocess p, MemorySegment raw) {
        int n = Math.toIntExact(raw.byteSize() / p.raw().bytes());
        var graph = new Graph();
        Value x = graph.input("x", op(p).input(n));
        Value y = graph.apply("y", op(p), x).getFirst();
        // There is no buffer of no weights.
        graph.parameter("unused", Shape.of(1), Region.FROZEN);
        graph.output("y", graph.apply("y", new Cast(Kind.FLOAT), y).getFirst());
        backend.enter();
        try (Arena arena = Arena.ofConfined();
                Program program = Program.compile(graph, backend, Precision.FP32,
                        new WeightBuffer(graph.table(), backend.allocate(graph.table().bytes(), arena)), null)) {
            program.input("x").copyFrom(raw);
            program.run();
            return program.output("y").toArray(ValueLayout.JAVA_FLOAT);
        }
    }
}
