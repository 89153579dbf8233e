package isthmus.weights;

import isthmus.nn.Model;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightTable;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * The model that weights are imported into. Which of its weights depend on the number of classes, and which on the number of
 * channels, shows when it is built with other numbers: no list of layers is kept anywhere.
 *
 * @param classes number of outputs, or of kinds of boxes
 * @param classifier names of weights whose first axis depends on the number of classes
 * @param stem names of weights that depend on the number of channels
 */
record Target(Model model, int classes, Set<String> classifier, Set<String> stem) {
    static Target of(String name, Shape image, int classes, ModelOptions options) {
        Model model = Zoo.model(name, image, classes, options);
        Model more = Zoo.model(name, image, classes + 1, options);
        Model other = Zoo.model(name, image.with(0, image.dim(0) + 1), classes, options);
        return new Target(model, classes, differing(model, more), differing(model, other));
    }

    private static Set<String> differing(Model a, Model b) {
        Set<String> names = new LinkedHashSet<>();
        for (WeightTable.Entry e : a.table().entries())
            if (!b.table().has(e.name()) || !b.table().entry(e.name()).shape().equals(e.shape())) names.add(e.name());
        return names;
    }

    /** Whether a weight is the classifier's, or lies in the same layer or list of layers, as {@code fc.1} for {@code fc}. */
    boolean isOfClassifier(String name) {
        return classifier.stream().anyMatch(c -> name.startsWith(head(c)));
    }

    /** {@code classifier.} for {@code classifier.1.weight}. */
    private static String head(String weight) {
        List<String> parts = List.of(weight.split("\\."));
        int n = Math.max(1, parts.size() - 1);
        while (n > 1 && parts.get(n - 1).chars().allMatch(Character::isDigit))
            n--;
        return String.join(".", parts.subList(0, n)) + ".";
    }

    /** Whether the model has anything inside of that name's outermost module. */
    boolean hasModuleOf(String name) {
        String module = name.substring(0, name.indexOf('.') + 1);
        return module.isEmpty() || model.table().entries().stream().anyMatch(e -> e.name().startsWith(module));
    }
}
