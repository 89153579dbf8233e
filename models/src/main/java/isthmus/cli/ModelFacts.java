package isthmus.cli;

import isthmus.nn.Model;
import isthmus.task.Recipe;
import isthmus.tensor.Shape;
import isthmus.weights.Checkpoint;
import isthmus.weights.WeightImport;
import isthmus.zoo.ModelOptions;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.TreeMap;
import tools.jackson.core.JacksonException;
import tools.jackson.core.type.TypeReference;
import tools.jackson.databind.json.JsonMapper;

/**
 * What is said of a model outside of its weights: on the command line first, then by a recipe, then in the metadata that
 * import writes.
 */
final class ModelFacts {
    static final String MODEL = "isthmus.model";
    static final String IMAGE = "isthmus.image";
    static final String LABELS = "isthmus.labels";
    static final String OPTIONS = "isthmus.options";
    private static final JsonMapper JSON = JsonMapper.shared();

    private final String model;
    private final ModelChoice choice;
    private final Recipe recipe;
    private final Map<String, String> metadata;
    private final String file;

    /** @param recipe may be null */
    ModelFacts(String file, String model, ModelChoice choice, Recipe recipe, Map<String, String> metadata) {
        this.file = file;
        this.model = model;
        this.choice = choice;
        this.recipe = recipe;
        this.metadata = metadata;
    }

    /** The metadata of imported weights. */
    static Map<String, String> metadata(Model model, ModelOptions options, List<String> labels, String source,
            Checkpoint checkpoint) {
        Map<String, String> all = new TreeMap<>();
        all.put(MODEL, model.name());
        all.put(IMAGE, model.image().toString());
        all.put(LABELS, JSON.writeValueAsString(labels));
        all.put(OPTIONS, JSON.writeValueAsString(new TreeMap<>(options.attributes())));
        all.put("isthmus.source", source);
        all.put("isthmus.source_format", checkpoint.format());
        return all;
    }

    /** The network that is meant; its weights show how many channels and classes it has where nobody says. */
    WeightImport.Request request(int axes) {
        Shape image = image();
        Shape size = choice.hasSize() || image == null ? choice.size(axes) : without(image);
        OptionalInt channels = choice.channels();
        if (channels.isEmpty() && image != null) channels = OptionalInt.of(image.dim(0));
        OptionalInt classes = choice.classes();
        if (classes.isEmpty() && !said().isEmpty()) classes = OptionalInt.of(said().size());
        return new WeightImport.Request(name(), options(), size, channels, classes, 1);
    }

    private String name() {
        String said = recipe != null ? recipe.model() : metadata.get(MODEL);
        if (said == null && model == null)
            throw new CliException(Exit.USAGE, file + " does not say which network it is: name it with --model");
        if (said != null && model != null && !said.equals(model))
            throw new CliException(Exit.USAGE, "--model is " + model + ", but " + file + " holds weights of " + said);
        return said == null ? model : said;
    }

    private Shape image() {
        if (recipe != null)
            return Shape.of(recipe.preprocess().channels(), recipe.preprocess().size(), recipe.preprocess().size());
        String text = metadata.get(IMAGE);
        if (text == null) return null;
        try {
            int[] dims = Arrays.stream(text.split("x", -1)).mapToInt(Integer::parseInt).toArray();
            if (dims.length < 3 || dims.length > 4) throw wrong(IMAGE, null);
            return Shape.of(dims);
        } catch (NumberFormatException e) {
            throw wrong(IMAGE, e);
        }
    }

    private static Shape without(Shape image) { return Shape.of(Arrays.copyOfRange(image.dims(), 1, image.rank())); }

    private List<String> said() {
        if (recipe != null) return recipe.labels();
        return metadata.containsKey(LABELS) ? json(LABELS, new TypeReference<List<String>>() {
        }) : List.of();
    }

    /** The outputs' names; numbered where nobody named them. */
    List<String> labels(int outputs) {
        List<String> said = said();
        return choice.hasLabels() || said.size() != outputs ? choice.labels(outputs) : said;
    }

    private ModelOptions options() {
        Map<String, List<Integer>> all = new LinkedHashMap<>();
        if (recipe != null) all.putAll(recipe.network().attributes());
        else if (metadata.containsKey(OPTIONS))
            all.putAll(json(OPTIONS, new TypeReference<Map<String, List<Integer>>>() {
            }));
        all.putAll(choice.options().attributes());
        return ModelOptions.DEFAULT.with(all);
    }

    /** How an image becomes the input, as far as somebody said so. */
    String preprocessing() {
        return recipe == null ? "" : recipe.preprocess().toJson();
    }

    private <T> T json(String key, TypeReference<T> type) {
        try {
            return JSON.readValue(metadata.get(key), type);
        } catch (JacksonException e) {
            throw wrong(key, e);
        }
    }

    private CliException wrong(String key, Throwable cause) {
        return new CliException(Exit.BAD_DATA,
                file + ": its metadata's " + key + " is not understood: " + metadata.get(key)
                        + "; import the weights again",
                cause);
    }
}
