package isthmus.nn;

import isthmus.graph.Graph;
import isthmus.op.Add;
import isthmus.op.AvgPool;
import isthmus.op.Cast;
import isthmus.op.ChannelStatistics;
import isthmus.op.Concat;
import isthmus.op.Conv;
import isthmus.op.Dropout;
import isthmus.op.Flatten;
import isthmus.op.GlobalAvgPool;
import isthmus.op.GroupNorm;
import isthmus.op.Kind;
import isthmus.op.Linear;
import isthmus.op.MaxPool;
import isthmus.op.Multiply;
import isthmus.op.Node;
import isthmus.op.Normalize;
import isthmus.op.Op;
import isthmus.op.Relu;
import isthmus.op.Scale;
import isthmus.op.Sigmoid;
import isthmus.op.Silu;
import isthmus.op.StochasticDepth;
import isthmus.op.UpdateStatistics;
import isthmus.op.Upsample;
import isthmus.op.Value;
import isthmus.op.Window;
import isthmus.tensor.Region;
import isthmus.tensor.Shape;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * A place in a network under construction: adds layers to the graph and gives their parameters PyTorch's names
 * ({@code layer2.0.conv1.weight}).
 */
public final class Scope {
    /**
     * What all places of one network share.
     *
     * @param inits of each parameter by name
     * @param layers names of the layers that could take an adapter
     */
    record Shared(Adaptation adaptation, Map<String, Init> inits, Set<String> layers) {}

    private final Graph graph;
    private final boolean training;
    private final String path;
    private final Shared shared;

    Scope(Graph graph, boolean training, String path, Shared shared) {
        this.graph = graph;
        this.training = training;
        this.path = path;
        this.shared = shared;
    }

    /** The place {@code name} inside this one. */
    public Scope at(Object name) {
        return new Scope(graph, training, path.isEmpty() ? name.toString() : path + "." + name, shared);
    }

    /** Whether the graph is for training: batch statistics, dropout. */
    public boolean training() { return training; }

    /** Convolution with PyTorch's default initial values; x {@code [N,C,...]}. */
    public Value conv(String name, Value x, int out, Window window, boolean bias) {
        Shape w = weightShape(x, out, window, 1);
        Init init = Init.fanIn(w.elementsFrom(1));
        return conv(name, x, w, window, init, bias ? Optional.of(init) : Optional.empty());
    }

    /** Convolution without bias before a normalisation, initial values after He et al. 2015 (fan out). */
    public Value convHe(String name, Value x, int out, Window window) {
        Shape w = weightShape(x, out, window, 1);
        return conv(name, x, w, window, Init.heFanOut(w), Optional.empty());
    }

    /** {@link #convHe} with a bias, which a normalisation after it makes idle; some published networks have it. */
    public Value convHeWithBias(String name, Value x, int out, Window window) {
        Shape w = weightShape(x, out, window, 1);
        return conv(name, x, w, window, Init.heFanOut(w), Optional.of(Init.fanIn(w.elementsFrom(1))));
    }

    /** Convolution with a bias and given initial values. */
    public Value conv(String name, Value x, int out, Window window, Init weight, Init bias) {
        return conv(name, x, weightShape(x, out, window, 1), window, weight, Optional.of(bias));
    }

    /** Convolution without bias, initial values after He et al. 2015 (fan in). */
    public Value convHeIn(String name, Value x, int out, Window window) {
        Shape w = weightShape(x, out, window, 1);
        return conv(name, x, w, window, Init.heFanIn(w), Optional.empty());
    }

    /** Convolution of each channel by itself, without bias; initial values as {@link #convHe}. */
    public Value depthwiseHe(String name, Value x, Window window) {
        int channels = x.shape().dim(1);
        Shape w = weightShape(x, channels, window, channels);
        return conv(name, x, w, window, Init.heFanOut(w), Optional.empty());
    }

    private static Shape weightShape(Value x, int out, Window window, int groups) {
        int[] w = new int[window.axes() + 2];
        w[0] = out;
        w[1] = x.shape().dim(1) / groups;
        for (int i = 0; i < window.axes(); i++)
            w[2 + i] = window.kernel().get(i);
        return Shape.of(w);
    }

    private Value conv(String name, Value x, Shape w, Window window, Init init, Optional<Init> bias) {
        Scope s = at(name);
        int groups = x.shape().dim(1) / w.dim(1);
        List<Value> in = new ArrayList<>(List.of(x, s.parameter("weight", w, init)));
        bias.ifPresent(b -> in.add(s.parameter("bias", Shape.of(w.dim(0)), b)));
        Value y = s.apply(new Conv(window, groups, bias.isPresent()), in.toArray(Value[]::new));
        if (groups > 1) return y; // few weights already: an adapter would be larger than what it adapts
        return s.adapter().map(l -> s.add(y, s.lowRank(l, x, w, window))).orElse(y);
    }

    /** {@code alpha / rank B(A(x))} of a convolution with weight w: A has the layer's window, B is 1x1. */
    private Value lowRank(Lora l, Value x, Shape w, Window window) {
        int[] a = w.dims();
        a[0] = l.rank();
        int[] b = new int[a.length];
        Arrays.fill(b, 1);
        b[0] = w.dim(0);
        b[1] = l.rank();
        Value low = apply(new Conv(window, 1, false), x, factor("lora_A", Shape.of(a)));
        Window point = Window.of(window.axes(), 1, 1, 0);
        return apply(new Conv(point, 1, false), apply(new Multiply(l.scale()), low), factor("lora_B", Shape.of(b)));
    }

    /** The adapter's settings if this layer gets one. */
    private Optional<Lora> adapter() {
        shared.layers.add(path);
        return shared.adaptation.lora(path);
    }

    /** A starts Kaiming-uniform with a = sqrt(5), as PyTorch's layers and the paper's code do; B at zero. */
    private Value factor(String name, Shape shape) {
        Init init = name.equals("lora_A") ? Init.fanIn(shape.elementsFrom(1)) : Init.zeros();
        return parameter(name, shape, init, Region.TRAINABLE);
    }

    /**
     * Batch normalisation, epsilon 1e-5, momentum 0.1. Training normalises with the batch's statistics and moves the running
     * ones; evaluation, and a {@linkplain Adaptation frozen} layer in training, use the running ones and leave them.
     */
    public Value batchNorm(String name, Value x) {
        Scope s = at(name);
        Shape c = Shape.of(x.shape().dim(1));
        Value gamma = s.parameter("weight", c, Init.ones());
        Value beta = s.parameter("bias", c, Init.zeros());
        boolean frozen = !s.trains("weight") && !s.trains("bias");
        Region region = frozen ? Region.FROZEN : Region.STATISTICS;
        Value mean = s.parameter("running_mean", c, Init.zeros(), region);
        Value variance = s.parameter("running_var", c, Init.ones(), region);
        if (!training || frozen) return s.apply(new Normalize(1e-5f), x, mean, variance, gamma, beta);
        List<Value> batch = graph.apply(s.path, new ChannelStatistics(), x);
        graph.apply(s.path, new UpdateStatistics(0.1f, x.shape().elements() / c.dim(0)), batch.get(0), batch.get(1),
                mean, variance);
        return s.apply(new Normalize(1e-5f), x, batch.get(0), batch.get(1), gamma, beta);
    }

    /** Group normalisation, epsilon 1e-5: each sample by itself, so training and evaluation are the same. */
    public Value groupNorm(String name, Value x, int groups) {
        Scope s = at(name);
        Shape c = Shape.of(x.shape().dim(1));
        return s.apply(new GroupNorm(groups, 1e-5f), x, s.parameter("weight", c, Init.ones()),
                s.parameter("bias", c, Init.zeros()));
    }

    /** {@code max(x, 0)}. */
    public Value relu(Value x) { return apply(new Relu(), x); }

    /** {@code x sigmoid(x)}. */
    public Value silu(Value x) { return apply(new Silu(), x); }

    /** {@code 1 / (1 + exp(-x))}. */
    public Value sigmoid(Value x) { return apply(new Sigmoid(), x); }

    /** One factor a sample and channel: x {@code [N,C,...]}, factors {@code [N,C,1,...]}. */
    public Value scale(Value x, Value factors) {
        return apply(new Scale(), x, factors);
    }

    /** Values side by side along the channels. */
    public Value concat(Value... parts) {
        return apply(new Concat(), parts);
    }

    /** Sum of two values of one shape. */
    public Value add(Value a, Value b) { return apply(new Add(), a, b); }

    /** Max pooling. */
    public Value maxPool(Value x, Window window) {
        return graph.apply(path, new MaxPool(window), x).getFirst();
    }

    /** Upsampling to the spatial lengths of {@code like}. */
    public Value upsample(Value x, Value like, Upsample.Mode mode) {
        List<Integer> size = IntStream.range(2, like.shape().rank()).mapToObj(like.shape()::dim).toList();
        return apply(new Upsample(size, mode), x);
    }

    /** Average pooling. */
    public Value avgPool(Value x, Window window) { return apply(new AvgPool(window), x); }

    /** Mean over all positions, {@code [N,C,1,...]}. */
    public Value channelMeans(Value x) {
        return apply(new GlobalAvgPool(), x);
    }

    /** Mean over all positions, then {@code [N,C]}. */
    public Value globalAvgPool(Value x) {
        return apply(new Flatten(), apply(new GlobalAvgPool(), x));
    }

    /** {@code [N,C,...] -> [N,C...]}. */
    public Value flatten(Value x) { return apply(new Flatten(), x); }

    /** Dropout; nothing in evaluation or with probability 0. */
    public Value dropout(Value x, float probability) {
        if (!training || probability == 0) return x;
        return apply(new Dropout(probability, randomOps()), x);
    }

    /** Stochastic depth by samples, on the branch of a residual sum; nothing in evaluation or with probability 0. */
    public Value stochasticDepth(Value x, float probability) {
        if (!training || probability == 0) return x;
        return apply(new StochasticDepth(probability, randomOps()), x);
    }

    /** Random ops so far: the next one's id. */
    private int randomOps() {
        return (int) graph.nodes().stream().map(Node::op)
                .filter(op -> op instanceof Dropout || op instanceof StochasticDepth).count();
    }

    /** A fully connected layer. */
    public Value linear(String name, Value x, int out) {
        return linear(name, x, out, false);
    }

    /** The last layer: its results stay in float32 in every precision. */
    public Value logits(String name, Value x, int out) {
        return linear(name, x, out, true);
    }

    /** The last map, made by a convolution: its values leave in float32 in every precision. */
    public Value logits(Value map) {
        return apply(new Cast(Kind.FLOAT), map);
    }

    private Value linear(String name, Value x, int out, boolean logits) {
        Scope s = at(name);
        int in = x.shape().dim(1);
        Value weight = s.parameter("weight", Shape.of(out, in), Init.fanIn(in));
        Value bias = s.parameter("bias", Shape.of(out), Init.fanIn(in));
        Value y = s.apply(new Linear(true, logits), x, weight, bias);
        Optional<Lora> lora = s.adapter();
        if (lora.isEmpty()) return y;
        int rank = lora.get().rank();
        Value low = s.apply(new Linear(false, false), x, s.factor("lora_A", Shape.of(rank, in)));
        Value scaled = s.apply(new Multiply(lora.get().scale()), low);
        return s.add(y, s.apply(new Linear(false, logits), scaled, s.factor("lora_B", Shape.of(out, rank))));
    }

    private Value parameter(String name, Shape shape, Init init) {
        return parameter(name, shape, init, trains(name) ? Region.TRAINABLE : Region.FROZEN);
    }

    private Value parameter(String name, Shape shape, Init init, Region region) {
        String full = path + "." + name;
        shared.inits.put(full, init);
        return graph.parameter(full, shape, region);
    }

    private boolean trains(String name) { return shared.adaptation.trains(path + "." + name); }

    private Value apply(Op op, Value... in) { return graph.apply(path, op, in).getFirst(); }
}
