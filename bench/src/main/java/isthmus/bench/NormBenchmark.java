package isthmus.bench;

import isthmus.backend.Precision;
import isthmus.graph.Graph;
import isthmus.op.Activation;
import isthmus.op.ChannelStatistics;
import isthmus.op.GroupNorm;
import isthmus.op.Kind;
import isthmus.op.Normalize;
import isthmus.op.Op;
import isthmus.op.Spec;
import isthmus.op.Value;
import isthmus.tensor.Region;
import isthmus.tensor.Shape;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/**
 * Normalisation with ReLU, forward and backward. A backward pass must read its inputs twice, once for the sums and once for
 * the result, so that half of the bandwidth is all that it can show.
 */
@State(Scope.Thread)
public class NormBenchmark {
    private static final int GROUPS = 8;
    private static final float EPSILON = 1e-5f;
    private static final int CHANNELS = 256;
    /** 25.7 million elements: a batch of 32 in DenseNet's first block, and a patch of a volume. */
    private static final Shape IMAGES = Shape.of(32, CHANNELS, 56, 56);
    private static final Shape VOLUME = Shape.of(1, 32, 96, 96, 96);

    @Param({"FP32", "BF16"})
    private Precision precision;

    private OneOp statistics;
    private OneOp batchForward;
    private OneOp batchBackward;
    private OneOp groupForward;
    private OneOp groupBackward;

    @Setup
    public void compile(Cpu cpu) {
        Spec images = new Spec(IMAGES, Kind.ACTIVATION);
        Spec channel = Spec.ofFloat(CHANNELS);
        statistics = program(cpu, new ChannelStatistics(), List.of(images), 0);
        batchForward = program(cpu, new Normalize(EPSILON, false, Activation.RELU), List.of(images, channel, channel),
                2);
        batchBackward = program(cpu, new Normalize.BackwardPass(EPSILON, Activation.RELU, false, false, false),
                List.of(images, images, channel, channel), 2);
        Spec volume = new Spec(VOLUME, Kind.ACTIVATION);
        Spec group = Spec.ofFloat(VOLUME.dim(0), GROUPS);
        groupForward = program(cpu, new GroupNorm(GROUPS, EPSILON, false, Activation.RELU), List.of(volume), 2);
        groupBackward = program(cpu, new GroupNorm.BackwardPass(GROUPS, EPSILON, Activation.RELU, false, false),
                List.of(volume, volume, group, group), 2);
    }

    /** One op on inputs, and on so many parameters a channel behind them. */
    private OneOp program(Cpu cpu, Op op, List<Spec> inputs, int parameters) {
        var graph = new Graph();
        List<Value> in = new ArrayList<>();
        for (int i = 0; i < inputs.size(); i++)
            in.add(graph.input("x" + i, inputs.get(i)));
        Shape channels = Shape.of(inputs.getFirst().shape().dim(1));
        IntStream.range(0, parameters).forEach(i -> in.add(graph.parameter("w" + i, channels, Region.FROZEN)));
        List<Value> out = graph.apply("bench", op, in.toArray(Value[]::new));
        for (int i = 0; i < out.size(); i++)
            graph.output("y" + i, out.get(i));
        return new OneOp(cpu, graph, precision);
    }

    @TearDown
    public void close() {
        for (OneOp op : List.of(statistics, batchForward, batchBackward, groupForward, groupBackward))
            op.close();
    }

    @Benchmark
    public void channelStatistics(Cpu cpu, Traffic traffic) { statistics.run(traffic); }

    @Benchmark
    public void batchForward(Cpu cpu, Traffic traffic) { batchForward.run(traffic); }

    @Benchmark
    public void batchBackward(Cpu cpu, Traffic traffic) { batchBackward.run(traffic); }

    @Benchmark
    public void groupForward(Cpu cpu, Traffic traffic) { groupForward.run(traffic); }

    @Benchmark
    public void groupBackward(Cpu cpu, Traffic traffic) { groupBackward.run(traffic); }
}
