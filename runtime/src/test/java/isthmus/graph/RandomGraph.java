package isthmus.graph;

import isthmus.op.Add;
import isthmus.op.AvgPool;
import isthmus.op.BceWithLogits;
import isthmus.op.Cast;
import isthmus.op.ChannelStatistics;
import isthmus.op.Concat;
import isthmus.op.Conv;
import isthmus.op.Flatten;
import isthmus.op.GlobalAvgPool;
import isthmus.op.GroupNorm;
import isthmus.op.Kind;
import isthmus.op.Linear;
import isthmus.op.MaxPool;
import isthmus.op.Normalize;
import isthmus.op.Relu;
import isthmus.op.Scale;
import isthmus.op.Sigmoid;
import isthmus.op.Silu;
import isthmus.op.Spec;
import isthmus.op.UpdateStatistics;
import isthmus.op.Value;
import isthmus.op.Window;
import isthmus.tensor.Region;
import isthmus.tensor.Shape;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/** Small networks drawn from a seed: branches, residual sums, values read more than once, a head, a loss. */
final class RandomGraph {
    static final String LABELS = "labels";
    static final String IMAGE = "image";
    static final String LOSS = "loss";
    static final String LOGITS = "logits";

    private final SplittableRandom random;
    private final int unit;
    private final Graph graph = new Graph();
    private final List<Value> activations = new ArrayList<>();
    private int layers;

    private RandomGraph(long seed, int unit) {
        this.random = new SplittableRandom(seed);
        this.unit = unit;
    }

    /** A forward pass with a loss; equal seeds give equal graphs. */
    static Graph training(long seed) {
        return training(seed, 1);
    }

    /** The same with so many times the channels, as devices want rows to begin at multiples of 16 bytes. */
    static Graph training(long seed, int unit) {
        return new RandomGraph(seed, unit).build();
    }

    private int channels(int most) { return unit * (1 + random.nextInt(most)); }

    private Graph build() {
        int batch = 1 + random.nextInt(3);
        Value image = graph.input(IMAGE,
                new Spec(Shape.of(batch, channels(3), 4 + random.nextInt(4), 4 + random.nextInt(4)),
                        Kind.FLOAT));
        activations.add(graph.apply(IMAGE, new Cast(Kind.ACTIVATION), image).getFirst());
        int depth = 3 + random.nextInt(8);
        for (int i = 0; i < depth; i++)
            activations.add(layer(pick()));
        Value x = activations.getLast();
        Value flat = random.nextBoolean()
                ? graph.apply("head", new Flatten(), x).getFirst()
                : graph.apply("head", new Flatten(), graph.apply("head", new GlobalAvgPool(), x).getFirst())
                        .getFirst();
        if (random.nextBoolean())
            flat = graph.apply("hidden", new Relu(), graph.apply("hidden", new Linear(true, false), flat,
                    weight("hidden.weight", 5, flat.shape().dim(1)), weight("hidden.bias", 5)).getFirst()).getFirst();
        int classes = 1 + random.nextInt(3);
        Value logits = graph.apply("head", new Linear(true, true), flat,
                weight("head.weight", classes, flat.shape().dim(1)), weight("head.bias", classes)).getFirst();
        graph.output(LOGITS, logits);
        Value labels = graph.input(LABELS, new Spec(logits.shape(), Kind.FLOAT));
        graph.output(LOSS, graph.apply(LOSS, new BceWithLogits(List.of()), logits, labels).getFirst());
        return graph;
    }

    /** Mostly the newest value, sometimes any earlier one. */
    private Value pick() {
        return random.nextInt(3) > 0 ? activations.getLast() : activations.get(random.nextInt(activations.size()));
    }

    private Value layer(Value x) {
        String label = "layer" + layers++;
        return switch (random.nextInt(10)) {
            case 0, 1 -> conv(label, x);
            case 2 -> norm(label, x);
            case 3 -> graph.apply(label, new Relu(), x).getFirst();
            case 4 -> partner(label, x);
            case 5 -> dense(label, x);
            case 8 -> squeezeExcite(label, x);
            case 6 -> transition(label, x);
            case 7 -> graph.apply(label, new Concat(), x, beside(x), x).getFirst();
            default -> x.shape().dim(2) >= 4 && x.shape().dim(3) >= 4
                    ? graph.apply(label, new MaxPool(maxWindow()), x).getFirst()
                    : norm(label, x);
        };
    }

    /** Side by side, or over each other. */
    private Window maxWindow() {
        return layers % 2 == 0 ? Window.of(2, 2, 2, 0) : Window.of(2, 3, 2, 1);
    }

    private Value conv(String label, Value x) {
        int kernel = random.nextBoolean() ? 3 : 1;
        int channels = random.nextBoolean() ? x.shape().dim(1) : channels(4);
        return graph.apply(label, new Conv(Window.of(2, kernel, 1, kernel / 2), 1, false), x,
                weight(label + ".weight", channels, x.shape().dim(1), kernel, kernel)).getFirst();
    }

    /** Layers that grow a value, as in DenseNet: each normalises all there is so far and adds a few channels. */
    private Value dense(String label, Value x) {
        int layers = 1 + random.nextInt(3);
        for (int i = 0; i < layers; i++) {
            Value y = graph.apply(label + "." + i, new Relu(), batchNorm(label + "." + i, x)).getFirst();
            x = graph.apply(label + "." + i, new Concat(), x, conv(label + ".conv" + i, y)).getFirst();
        }
        return random.nextBoolean() ? norm(label, x) : x;
    }

    /** A 1x1 convolution and an average, with or without padding; x itself where it is too small. */
    private Value transition(String label, Value x) {
        if (x.shape().dim(2) < 4 || x.shape().dim(3) < 4) return x;
        boolean bias = random.nextBoolean();
        int channels = channels(4);
        List<Value> in = new ArrayList<>(List.of(x, weight(label + ".weight", channels, x.shape().dim(1), 1, 1)));
        if (bias) in.add(weight(label + ".bias", channels));
        Value y = graph.apply(label, new Conv(Window.of(2, 1, 1, 0), 1, bias), in.toArray(Value[]::new)).getFirst();
        Window window = random.nextInt(3) == 0 ? Window.of(2, 3, 2, 1) : Window.of(2, 2, 2, 0);
        return graph.apply(label, new AvgPool(window), y).getFirst();
    }

    /** Each channel of a normalised value times a factor that its means decide. */
    private Value squeezeExcite(String label, Value x) {
        Value a = batchNorm(label, x);
        if (random.nextInt(4) > 0) a = graph.apply(label, random.nextBoolean() ? new Relu() : new Silu(), a).getFirst();
        Value p = graph.apply(label, new GlobalAvgPool(), a).getFirst();
        int c = x.shape().dim(1);
        Value s = graph
                .apply(label, new Conv(Window.of(2, 1, 1, 0), 1, true), p, weight(label + ".fc.weight", c, c, 1, 1),
                        weight(label + ".fc.bias", c))
                .getFirst();
        return graph.apply(label, new Scale(), a, graph.apply(label, new Sigmoid(), s).getFirst()).getFirst();
    }

    /** An earlier value of the same extent. */
    private Value beside(Value x) {
        List<Value> alike = activations.stream().filter(v -> v.shape().dim(2) == x.shape().dim(2)
                && v.shape().dim(3) == x.shape().dim(3)).toList();
        return alike.get(random.nextInt(alike.size()));
    }

    /** Normalisation, and often what fuses with it: a sum, an activation, or both. */
    private Value norm(String label, Value x) {
        Value y = random.nextInt(3) == 0 ? groupNorm(label, x) : batchNorm(label, x);
        if (random.nextBoolean()) y = partner(label, y);
        return switch (random.nextInt(4)) {
            case 0, 1 -> graph.apply(label, new Relu(), y).getFirst();
            case 2 -> graph.apply(label, new Silu(), y).getFirst();
            default -> y;
        };
    }

    private Value batchNorm(String label, Value x) {
        int c = x.shape().dim(1);
        List<Value> s = graph.apply(label, new ChannelStatistics(), x);
        graph.apply(label, new UpdateStatistics(0.1f, x.shape().elements() / c), s.get(0), s.get(1),
                graph.parameter(label + ".running_mean", Shape.of(c), Region.STATISTICS),
                graph.parameter(label + ".running_var", Shape.of(c), Region.STATISTICS));
        return graph.apply(label, new Normalize(1e-5f), x, s.get(0), s.get(1),
                weight(label + ".weight", c), weight(label + ".bias", c)).getFirst();
    }

    private Value groupNorm(String label, Value x) {
        int c = x.shape().dim(1);
        int groups = random.nextBoolean() ? 1 : c;
        return graph.apply(label, new GroupNorm(groups, 1e-5f), x, weight(label + ".weight", c),
                weight(label + ".bias", c)).getFirst();
    }

    /** Adds an earlier value of the same shape, on either side; the value itself if there is none. */
    private Value partner(String label, Value x) {
        List<Value> alike = activations.stream().filter(v -> v.shape().equals(x.shape())).toList();
        Value other = alike.isEmpty() ? x : alike.get(random.nextInt(alike.size()));
        return (random.nextBoolean()
                ? graph.apply(label, new Add(), x, other)
                : graph.apply(label, new Add(), other, x))
                .getFirst();
    }

    private Value weight(String name, int... dims) {
        // A tenth of the weights are frozen: nothing may ask for their gradients.
        return graph.parameter(name, Shape.of(dims), random.nextInt(10) == 0 ? Region.FROZEN : Region.TRAINABLE);
    }
}
