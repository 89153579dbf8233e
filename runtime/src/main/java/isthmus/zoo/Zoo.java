package isthmus.zoo;

import isthmus.nn.Model;
import isthmus.nn.Network;
import isthmus.tensor.Shape;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/** The catalogue of networks. A new one is one file and one line here. */
public final class Zoo {
    private interface Maker {
        Network make(int classes, ModelOptions options);
    }

    private record Entry(Maker maker, Set<String> attributes) {}

    private static final Map<String, Entry> NETWORKS = new TreeMap<>(Map.ofEntries(
            entry("convnet2", (classes, options) -> new ConvNet2(classes, options.dropout())),
            entry("segresnet", SegResNet::of, "init_filters", "blocks_down", "blocks_up"),
            entry("retinanet3d", RetinaNet3d::of, "anchors", "conv1_stride", "returned_layers", "blocks", "width",
                    "pyramid"),
            entry("densenet121", (classes, options) -> new DenseNet121(classes, options.dropout())),
            entry("efficientnet_b0",
                    (classes, options) -> new EfficientNetB0(classes, options.dropout(), options.stochasticDepth())),
            entry("resnet34", (classes, options) -> new ResNet34(classes)),
            entry("xraynet", (classes, options) -> new XrayNet(classes, options.dropout()))));

    /** Networks of three spatial axes; all others have two. */
    private static final Set<String> VOLUMES = Set.of("segresnet", "retinanet3d");

    private Zoo() {}

    /** A line of the catalogue; {@code attributes} are the keys that this network alone knows. */
    private static Map.Entry<String, Entry> entry(String name, Maker maker, String... attributes) {
        return Map.entry(name, new Entry(maker, Set.of(attributes)));
    }

    /** Names of all networks. */
    public static Iterable<String> names() { return NETWORKS.keySet(); }

    /** Whether a network takes volumes {@code [C,D,H,W]} rather than images {@code [C,H,W]}. */
    public static boolean takesVolumes(String name) {
        return VOLUMES.contains(name);
    }

    /**
     * A model by name.
     *
     * @param image shape of one image, {@code [C,H,W]} or {@code [C,D,H,W]}
     */
    public static Model model(String name, Shape image, int classes, ModelOptions options) {
        Entry entry = NETWORKS.get(name);
        if (entry == null)
            throw new IllegalArgumentException("no model is called '" + name + "'; there are " + NETWORKS.keySet());
        for (String key : options.attributes().keySet()) {
            if (!entry.attributes.contains(key))
                throw new IllegalArgumentException("model " + name + " has no attribute '" + key + "'; it has "
                        + new TreeSet<>(entry.attributes));
        }
        return new Model(name, entry.maker.make(classes, options), image, options.adaptation());
    }
}
