package isthmus.cli;

import isthmus.tensor.Shape;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import picocli.CommandLine.Option;

/** The options that say which network is meant: sizes, channels, classes, and what one network alone knows. */
final class ModelChoice {
    private static final int SIDE = 224;
    private static final int DEPTH = 96;
    private static final int MAX_SIDE = 65_536;

    @Option(names = "--size", paramLabel = "N[xN...]", description = "Size of an image: 224, 224x192, or depth x height x width."
            + " Default: 224, of volumes 96.")
    private String size;

    @Option(names = "--channels", paramLabel = "N", description = "Channels of an image.")
    private Integer channels;

    @Option(names = "--classes", paramLabel = "N", description = "Number of outputs.")
    private Integer classes;

    @Option(names = "--labels", split = ",", paramLabel = "NAME", description = "Names of the outputs, separated by commas.")
    private List<String> labels = List.of();

    @Option(names = "--set", paramLabel = "KEY=N[,N...]", description = "An option that this network alone has, such as"
            + " init_filters=16.")
    private Map<String, String> attributes = new LinkedHashMap<>();

    /** Whether anything was said. */
    boolean isEmpty() {
        return size == null && channels == null && classes == null && labels.isEmpty() && attributes.isEmpty();
    }

    boolean hasSize() { return size != null; }

    boolean hasLabels() { return !labels.isEmpty(); }

    /** Fails for a name that the catalogue has not. */
    static void known(String model) {
        List<String> names = new ArrayList<>();
        Zoo.names().forEach(names::add);
        if (!names.contains(model))
            throw new CliException(Exit.USAGE, "--model " + model + ": no network is called so; there are "
                    + String.join(", ", names));
    }

    /** Size of an image without its channels; one number stands for all axes. */
    Shape size(int axes) {
        if (size == null) return axes == 2 ? Shape.of(SIDE, SIDE) : Shape.of(DEPTH, DEPTH, DEPTH);
        List<String> parts = List.of(size.split("x", -1));
        if (parts.size() == 1) parts = Collections.nCopies(axes, parts.getFirst());
        int[] dims = new int[parts.size()];
        try {
            for (int i = 0; i < dims.length; i++)
                dims[i] = Integer.parseInt(parts.get(i));
        } catch (NumberFormatException e) {
            throw wrongSize(e);
        }
        for (int d : dims)
            if (d < 1 || d > MAX_SIDE || dims.length > 3) throw wrongSize(null);
        return Shape.of(dims);
    }

    private CliException wrongSize(Throwable cause) {
        return new CliException(Exit.USAGE, "--size is " + size + "; write it as 224, 224x192 or 96x160x160", cause);
    }

    OptionalInt channels() { return positive("--channels", channels); }

    OptionalInt classes() {
        OptionalInt n = positive("--classes", classes);
        if (labels.isEmpty()) return n;
        if (n.isPresent() && n.getAsInt() != labels.size())
            throw new CliException(Exit.USAGE, "--classes is " + classes + ", but --labels names " + labels.size());
        return OptionalInt.of(labels.size());
    }

    private static OptionalInt positive(String option, Integer n) {
        if (n == null) return OptionalInt.empty();
        if (n < 1 || n > 1_000_000) throw new CliException(Exit.USAGE, option + " is " + n + "; it is 1 or more");
        return OptionalInt.of(n);
    }

    /** The labels; numbered where none were named. */
    List<String> labels(int outputs) {
        if (!labels.isEmpty()) return labels;
        List<String> numbered = new ArrayList<>();
        for (int i = 0; i < outputs; i++)
            numbered.add("class " + i);
        return numbered;
    }

    ModelOptions options() {
        Map<String, List<Integer>> all = new LinkedHashMap<>();
        attributes.forEach((key, text) -> {
            List<Integer> values = new ArrayList<>();
            try {
                for (String part : text.split(",", -1))
                    values.add(Integer.parseInt(part));
            } catch (NumberFormatException e) {
                throw new CliException(Exit.USAGE, "--set " + key + "=" + text + ": give whole numbers", e);
            }
            all.put(key, values);
        });
        return ModelOptions.DEFAULT.with(all);
    }
}
