package isthmus.bench;

import isthmus.backend.Precision;
import isthmus.graph.Call;
import isthmus.graph.Graph;
import isthmus.graph.Program;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.Arena;

/** A small graph as a program of its own, to be run again and again. */
final class OneOp implements AutoCloseable {
    /** Small positive numbers in float32, bf16 and f16 alike, so that no kernel meets denormals or infinities. */
    private static final byte PATTERN = 0x3c;

    private final Arena arena = Arena.ofShared();
    private final Program program;
    private final long bytes;

    OneOp(Cpu cpu, Graph graph, Precision precision) {
        WeightBuffer weights = new WeightBuffer(graph.table(), cpu.backend().allocate(graph.table().bytes(), arena));
        weights.segment().fill(PATTERN);
        program = Program.compile(graph, cpu.backend(), precision, weights,
                new WeightBuffer(graph.table(), cpu.backend().allocate(graph.table().bytes(), arena)));
        for (String input : graph.inputs().keySet())
            program.input(input).fill(PATTERN);
        bytes = program.calls().stream().mapToLong(Call::bytes).sum();
    }

    void run(Traffic traffic) {
        program.run();
        traffic.bytes += bytes;
    }

    @Override
    public void close() {
        program.close();
        arena.close();
    }
}
