package isthmus.nn;

import isthmus.graph.Graph;
import isthmus.op.Add;
import isthmus.op.ChannelStatistics;
import isthmus.op.Conv;
import isthmus.op.Dropout;
import isthmus.op.Flatten;
import isthmus.op.GlobalAvgPool;
import isthmus.op.GroupNorm;
import isthmus.op.Linear;
import isthmus.op.MaxPool;
import isthmus.op.Normalize;
import isthmus.op.Op;
import isthmus.op.Relu;
import isthmus.op.UpdateStatistics;
import isthmus.op.Value;
import isthmus.op.Window;
import isthmus.tensor.Region;
import isthmus.tensor.Shape;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * A place in a network under construction: adds layers to the graph and gives their parameters PyTorch's names
 * ({@code layer2.0.conv1.weight}).
 */
public final class Scope {
    private final Graph graph;
    private final boolean training;
    private final String path;
    private final Map<String, Init> inits;

    Scope(Graph graph, boolean training, String path, Map<String, Init> inits) {
        this.graph = graph;
        this.training = training;
        this.path = path;
        this.inits = inits;
    }

    /** The place {@code name} inside this one. */
    public Scope at(Object name) {
        return new Scope(graph, training, path.isEmpty() ? name.toString() : path + "." + name, inits);
    }

    /** Whether the graph is for training: batch statistics, dropout. */
    public boolean training() { return training; }

    /** Convolution with PyTorch's default initial values; x {@code [N,C,...]}. */
    public Value conv(String name, Value x, int out, Window window, boolean bias) {
        Shape w = weightShape(x, out, window);
        return conv(name, x, w, window, bias, Init.fanIn(w.elementsFrom(1)));
    }

    /** Convolution without bias before a normalisation, initial values after He et al. 2015 (fan out). */
    public Value convHe(String name, Value x, int out, Window window) {
        Shape w = weightShape(x, out, window);
        return conv(name, x, w, window, false, Init.heFanOut(w));
    }

    private static Shape weightShape(Value x, int out, Window window) {
        int[] w = new int[window.axes() + 2];
        w[0] = out;
        w[1] = x.shape().dim(1);
        for (int i = 0; i < window.axes(); i++)
            w[2 + i] = window.kernel().get(i);
        return Shape.of(w);
    }

    private Value conv(String name, Value x, Shape w, Window window, boolean bias, Init init) {
        Scope s = at(name);
        List<Value> in = new ArrayList<>(List.of(x, s.parameter("weight", w, init)));
        if (bias) in.add(s.parameter("bias", Shape.of(w.dim(0)), Init.fanIn(w.elementsFrom(1))));
        return s.apply(new Conv(window, 1, bias), in.toArray(Value[]::new));
    }

    /**
     * Batch normalisation, epsilon 1e-5, momentum 0.1. Training normalises with the batch's statistics and moves the running
     * ones; evaluation uses the running ones.
     */
    public Value batchNorm(String name, Value x) {
        Scope s = at(name);
        Shape c = Shape.of(x.shape().dim(1));
        Value gamma = s.parameter("weight", c, Init.ones());
        Value beta = s.parameter("bias", c, Init.zeros());
        Value mean = s.graph.parameter(s.path + ".running_mean", c, Region.STATISTICS);
        Value variance = s.graph.parameter(s.path + ".running_var", c, Region.STATISTICS);
        inits.put(s.path + ".running_mean", Init.zeros());
        inits.put(s.path + ".running_var", Init.ones());
        if (!training) return s.apply(new Normalize(1e-5f, false, false), x, mean, variance, gamma, beta);
        List<Value> batch = graph.apply(s.path, new ChannelStatistics(), x);
        graph.apply(s.path, new UpdateStatistics(0.1f, x.shape().elements() / c.dim(0)), batch.get(0), batch.get(1),
                mean, variance);
        return s.apply(new Normalize(1e-5f, false, false), x, batch.get(0), batch.get(1), gamma, beta);
    }

    /** Group normalisation, epsilon 1e-5: each sample by itself, so training and evaluation are the same. */
    public Value groupNorm(String name, Value x, int groups) {
        Scope s = at(name);
        Shape c = Shape.of(x.shape().dim(1));
        return s.apply(new GroupNorm(groups, 1e-5f, false, false), x, s.parameter("weight", c, Init.ones()),
                s.parameter("bias", c, Init.zeros()));
    }

    /** {@code max(x, 0)}. */
    public Value relu(Value x) { return apply(new Relu(), x); }

    /** Sum of two values of one shape. */
    public Value add(Value a, Value b) { return apply(new Add(), a, b); }

    /** Max pooling. */
    public Value maxPool(Value x, Window window) {
        return graph.apply(path, new MaxPool(window), x).getFirst();
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
        int id = (int) graph.nodes().stream().filter(n -> n.op() instanceof Dropout).count();
        return apply(new Dropout(probability, id), x);
    }

    /** A fully connected layer. */
    public Value linear(String name, Value x, int out) {
        return linear(name, x, out, false);
    }

    /** The last layer: its results stay in float32 in every precision. */
    public Value logits(String name, Value x, int out) {
        return linear(name, x, out, true);
    }

    private Value linear(String name, Value x, int out, boolean logits) {
        Scope s = at(name);
        int in = x.shape().dim(1);
        Value weight = s.parameter("weight", Shape.of(out, in), Init.fanIn(in));
        return s.apply(new Linear(logits), x, weight, s.parameter("bias", Shape.of(out), Init.fanIn(in)));
    }

    private Value parameter(String name, Shape shape, Init init) {
        String full = path + "." + name;
        inits.put(full, init);
        return graph.parameter(full, shape, Region.TRAINABLE);
    }

    private Value apply(Op op, Value... in) { return graph.apply(path, op, in).getFirst(); }
}
