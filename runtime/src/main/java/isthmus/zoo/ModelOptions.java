package isthmus.zoo;

import isthmus.nn.Adaptation;
import java.util.List;
import java.util.Map;

/**
 * What can be chosen about a network of the catalogue beside its classes.
 *
 * @param dropout probability before the last layer, where the network has dropout
 * @param stochasticDepth greatest probability that a residual block is left out, where the network has that
 * @param adaptation which weights are trained, and adapters
 * @param attributes what one network alone knows, such as {@code init_filters}; a key that it does not know is an error
 */
public record ModelOptions(float dropout, float stochasticDepth, Adaptation adaptation,
        Map<String, List<Integer>> attributes) {
    /** No dropout, no stochastic depth, everything is trained, the network's own attributes. */
    public static final ModelOptions DEFAULT = new ModelOptions(0, 0, Adaptation.NONE, Map.of());

    public ModelOptions {
        attributes = Map.copyOf(attributes);
        probability("dropout", dropout);
        probability("stochastic_depth", stochasticDepth);
    }

    private static void probability(String what, float p) {
        if (!(p >= 0 && p < 1))
            throw new IllegalArgumentException("model: " + what + " is " + p + "; it is 0 or more and less than 1");
    }

    /** Defaults with dropout. */
    public static ModelOptions dropout(double probability) {
        return new ModelOptions((float) probability, 0, Adaptation.NONE, Map.of());
    }

    /** The same with other weights trained. */
    public ModelOptions with(Adaptation other) {
        return new ModelOptions(dropout, stochasticDepth, other, attributes);
    }

    /** The same with another probability of leaving residual blocks out. */
    public ModelOptions withStochasticDepth(double probability) {
        return new ModelOptions(dropout, (float) probability, adaptation, attributes);
    }

    /** The same with attributes of one network. */
    public ModelOptions with(Map<String, List<Integer>> others) {
        return new ModelOptions(dropout, stochasticDepth, adaptation, others);
    }

    /** An attribute that is one number. */
    int number(String key, int otherwise) {
        List<Integer> v = attributes.getOrDefault(key, List.of(otherwise));
        if (v.size() != 1)
            throw new IllegalArgumentException("model: attribute " + key + " is one number, not " + v);
        return v.getFirst();
    }

    /** An attribute that is a list of numbers. */
    List<Integer> numbers(String key, List<Integer> otherwise) {
        return attributes.getOrDefault(key, otherwise);
    }
}
