package isthmus.nn;

import isthmus.graph.Graph;
import isthmus.op.Cast;
import isthmus.op.Kind;
import isthmus.op.MapLayout;
import isthmus.op.Op;
import isthmus.op.ShapeException;
import isthmus.op.Spec;
import isthmus.op.Value;
import isthmus.op.WarpAffine;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import isthmus.tensor.WeightTable;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.Optional;

/** A network for images of one shape, with the table of its weights. */
public final class Model {
    /**
     * Name of the graph's input: float32 {@code [N,C,H,W]} or {@code [N,C,D,H,W]}, channels-last in memory; of a model that is
     * {@linkplain #fed fed} with raw pictures, their bytes.
     */
    public static final String IMAGE = "image";

    /** Name of the graph's output: float32 {@code [N,classes]}, {@code [N,classes,D,H,W]}, or a detector's joined maps. */
    public static final String LOGITS = "logits";

    private final String name;
    private final Network network;
    private final Shape image;
    private final Scope.Shared shared;
    private final WeightTable table;
    private final Shape output;
    private final Optional<WarpAffine> feed;

    /**
     * A model.
     *
     * @param name the catalogue's name
     * @param image shape of one image, {@code [C,H,W]} or {@code [C,D,H,W]}
     * @param adaptation which weights are trained; a pattern in it that chooses nothing is an error
     */
    public Model(String name, Network network, Shape image, Adaptation adaptation) {
        this(name, network, image, adaptation, Optional.empty());
    }

    private Model(String name, Network network, Shape image, Adaptation adaptation, Optional<WarpAffine> feed) {
        this.name = name;
        this.network = network;
        this.image = image;
        this.feed = feed;
        this.shared = new Scope.Shared(adaptation, new HashMap<>(), new LinkedHashSet<>());
        Graph graph = graph(1, true);
        adaptation.check(graph.parameters().keySet(), shared.layers());
        this.table = graph.table();
        Shape logits = graph.outputs().get(LOGITS).shape();
        this.output = Shape.of(Arrays.copyOfRange(logits.dims(), 1, logits.rank()));
    }

    /** A fresh forward graph for a batch; training graphs use batch statistics and dropout. */
    public Graph graph(int batch, boolean training) {
        Graph graph = new Graph();
        int[] dims = new int[image.rank() + 1];
        dims[0] = batch;
        System.arraycopy(image.dims(), 0, dims, 1, image.rank());
        Spec floats = new Spec(Shape.of(dims), Kind.FLOAT);
        Value x = graph.input(IMAGE, feed.map(w -> w.input(batch)).orElse(floats));
        Op first = feed.isPresent() ? feed.get() : new Cast(Kind.ACTIVATION);
        Value activation = graph.apply(IMAGE, first, x).getFirst();
        if (!activation.shape().equals(floats.shape()))
            throw new ShapeException(name, "it takes pictures of " + image + "; the feed makes " + activation.shape());
        graph.output(LOGITS, network.forward(new Scope(graph, training, "", shared), activation));
        return graph;
    }

    /**
     * The same network, fed with raw pictures: its programs take bytes and make of them what the network sees. For training and
     * measuring on grey pictures; what leaves as ONNX is the model itself, which takes floats.
     */
    public Model fed(WarpAffine feed) { return new Model(name, network, image, adaptation(), Optional.of(feed)); }

    /** Fills a buffer of this model's table with initial values. */
    public void initialize(WeightBuffer weights, long seed) {
        for (WeightTable.Entry e : weights.table().entries())
            shared.inits().get(e.name()).fill(weights.slice(e), seed, e.name());
    }

    /** The catalogue's name. */
    public String name() { return name; }

    /** Shape of one image, {@code [C,H,W]} or {@code [C,D,H,W]}. */
    public Shape image() { return image; }

    /** The same network with other weights trained. */
    public Model with(Adaptation other) {
        return new Model(name, network, image, other, feed);
    }

    /** Which weights are trained. */
    public Adaptation adaptation() { return shared.adaptation(); }

    /** Number of outputs, of an image or at each of its positions. */
    public int classes() { return output.dim(0); }

    /** Shape of one image's logits: {@code [classes]}, {@code [classes,D,H,W]}, or the length of a detector's joined maps. */
    public Shape output() {
        return output;
    }

    /** Of a detector, what lies where in its joined maps; nothing for others. */
    public Optional<MapLayout> maps() {
        return network.maps(image);
    }

    /** What lies where in the weight buffer. */
    public WeightTable table() { return table; }
}
