package isthmus.task;

import isthmus.backend.Backend;
import isthmus.backend.Precision;
import isthmus.data.Augment;
import isthmus.data.LabelTable;
import isthmus.data.Preprocess;
import isthmus.nn.Model;
import isthmus.tensor.Shape;
import isthmus.train.Loss;
import isthmus.train.OptimizerSpec;
import isthmus.train.Schedule;
import isthmus.train.Trainer;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.PropertyNamingStrategies;
import tools.jackson.databind.json.JsonMapper;

/**
 * How a model for chest films is trained, as data: it travels in a job, and lies in the metadata of the weights it made.
 *
 * @param model name in the catalogue
 * @param labels columns of the CSV, one output each
 * @param uncertain what a label of -1 counts as: ignore, ones or zeros
 * @param dropout probability before the last layer
 * @param precision fp32, bf16 or amp
 * @param epochs passes over pooled data
 * @param localEpochs passes over a site's data in one round
 * @param warmup share of all steps in which the learning rate rises
 * @param minFactor where the cosine ends, as a share of the learning rate
 * @param clipNorm longest gradient (L2); 0 for no limit
 */
public record Recipe(String model, List<String> labels, LabelTable.Uncertain uncertain, Preprocess preprocess,
        Augment augment,
        double dropout, String precision, int batch, int epochs, int localEpochs, Optimizer optimizer, double warmup,
        double minFactor,
        double clipNorm, long seed) {
    /** Name (sgd, adam, adamw), base learning rate, weight decay. */
    public record Optimizer(String name, double learningRate, double weightDecay) {}

    /** Key of the recipe's text in the metadata of weights. */
    public static final String METADATA = "recipe";

    private static final JsonMapper JSON = JsonMapper.builder()
            .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES,
                    DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES,
                    DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES, DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    public Recipe {
        labels = List.copyOf(labels);
        if (labels.isEmpty()) throw new IllegalArgumentException("recipe: name at least one label");
        positive("batch", batch);
        positive("epochs", epochs);
        positive("local_epochs", localEpochs);
        Precision.parse(precision);
        new Schedule(warmup, minFactor);
        spec(optimizer);
        if (!(clipNorm >= 0))
            throw new IllegalArgumentException("recipe: clip_norm is " + clipNorm + "; it is 0 (none) or more");
    }

    private static void positive(String key, int value) {
        if (value < 1) throw new IllegalArgumentException("recipe: " + key + " is " + value + "; it is 1 or more");
    }

    /** The recipe that is shipped for pneumonia on chest films. */
    public static Recipe pneumonia() {
        try (InputStream in = Recipe.class.getResourceAsStream("pneumonia.json")) {
            return fromJson(new String(in.readAllBytes(), StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Reads a recipe; a key that is missing or not known is an error that names it. */
    public static Recipe fromJson(String text) {
        try {
            return JSON.readValue(text, Recipe.class);
        } catch (JacksonException e) {
            throw new IllegalArgumentException("recipe: " + e.getOriginalMessage(), e);
        }
    }

    /** The recipe as one JSON object. */
    public String toJson() { return JSON.writeValueAsString(this); }

    /** The same recipe with other numbers of passes. */
    public Recipe withEpochs(int pooled, int local) {
        return new Recipe(model, labels, uncertain, preprocess, augment, dropout, precision, batch, pooled, local,
                optimizer, warmup, minFactor,
                clipNorm, seed);
    }

    /** The same recipe with another seed. */
    public Recipe withSeed(long other) {
        return new Recipe(model, labels, uncertain, preprocess, augment, dropout, precision, batch, epochs, localEpochs,
                optimizer, warmup,
                minFactor, clipNorm, other);
    }

    /** The model, with one output a label. */
    public Model build() {
        return Zoo.model(model, Shape.of(preprocess.channels(), preprocess.size(), preprocess.size()), labels.size(),
                ModelOptions.dropout(dropout));
    }

    /** What the trainer needs. */
    public Trainer.Options options() {
        return new Trainer.Options(new Loss.BinaryCrossEntropy(List.of()), spec(optimizer),
                new Schedule(warmup, minFactor), clipNorm,
                Precision.parse(precision), batch, seed);
    }

    /** The same for a device, which decides what {@code amp} is. */
    Trainer.Options options(Backend backend) {
        Trainer.Options o = options();
        Precision p = Precision.isAmp(precision) ? backend.amp() : o.precision();
        return new Trainer.Options(o.loss(), o.update(), p, o.batch(), o.accumulate(), o.seed());
    }

    private static OptimizerSpec spec(Optimizer o) {
        if (!(o.learningRate > 0))
            throw new IllegalArgumentException("recipe: learning_rate is " + o.learningRate + "; it is more than 0");
        return switch (o.name) {
            case "sgd" -> new OptimizerSpec.Sgd(o.learningRate, 0.9, false, o.weightDecay);
            case "adam" -> new OptimizerSpec.Adam(o.learningRate, 0.9, 0.999, 1e-8, o.weightDecay, false, false);
            case "adamw" -> OptimizerSpec.adamw(o.learningRate, o.weightDecay);
            default -> throw new IllegalArgumentException(
                    "recipe: optimizer '" + o.name + "' is not known; choose sgd, adam or adamw");
        };
    }
}
