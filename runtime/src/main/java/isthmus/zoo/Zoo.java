package isthmus.zoo;

import isthmus.nn.Model;
import isthmus.nn.Network;
import isthmus.tensor.Shape;
import java.util.Map;
import java.util.TreeMap;

/** The catalogue of networks. A new one is one file and one line here. */
public final class Zoo {
    private interface Maker {
        Network make(int classes, float dropout);
    }

    private static final Map<String, Maker> NETWORKS = new TreeMap<>(Map.of(
            "convnet2", ConvNet2::new,
            "resnet34", (classes, dropout) -> new ResNet34(classes),
            "xraynet", XrayNet::new));

    private Zoo() {}

    /** Names of all networks. */
    public static Iterable<String> names() { return NETWORKS.keySet(); }

    /**
     * A model by name.
     *
     * @param image shape of one image, {@code [C,H,W]}
     * @param dropout probability before the last layer, where the network has dropout
     */
    public static Model model(String name, Shape image, int classes, float dropout) {
        Maker maker = NETWORKS.get(name);
        if (maker == null)
            throw new IllegalArgumentException("no model is called '" + name + "'; there are " + NETWORKS.keySet());
        return new Model(name, maker.make(classes, dropout), image);
    }
}
