package isthmus.task;

import isthmus.backend.Precision;
import isthmus.data.Augment;
import isthmus.data.BatchLoader;
import isthmus.data.LabelTable;
import isthmus.data.Nearest;
import isthmus.data.Preprocess;
import isthmus.nn.Adaptation;
import isthmus.nn.Model;
import isthmus.tensor.Shape;
import isthmus.train.Loss;
import isthmus.train.Trainer;
import isthmus.train.UpdateRule;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;

/**
 * How a model for chest films is trained, as data: it travels in a job, and lies in the metadata of the weights it made. Its
 * JSON is read by {@link RecipeJson} and written by {@link RecipeText}.
 *
 * @param update optimizer, parameter groups, schedule, clipping, loss scale, average
 * @param precision fp32, bf16, f16 or amp
 * @param seed of initial weights, order, variation and dropout
 */
public record Recipe(Network network, Data data, Loss loss, UpdateRule update, String precision, Course course,
        long seed) {
    /**
     * What is trained.
     *
     * @param model name in the catalogue
     * @param dropout probability before the last layer
     * @param stochasticDepth greatest probability that a residual block is left out
     * @param attributes what one network alone knows
     * @param adaptation frozen parameters, those that alone are trained, adapters
     */
    public record Network(String model, double dropout, double stochasticDepth, Map<String, List<Integer>> attributes,
            Adaptation adaptation) {
        public Network {
            List<String> known = new ArrayList<>();
            Zoo.names().forEach(known::add);
            if (!known.contains(model))
                throw new IllegalArgumentException("recipe: no model is called '" + model + "'"
                        + Nearest.of(model, known).map(n -> "; did you mean \"" + n + "\"?").orElse("")
                        + "; there are " + String.join(", ", known));
        }

        ModelOptions options() {
            return new ModelOptions((float) dropout, (float) stochasticDepth, adaptation, attributes);
        }
    }

    /**
     * What it is trained on.
     *
     * @param labels columns of the CSV, one output each
     * @param uncertain what a label of -1 counts as
     * @param preprocess what happens to every picture
     * @param augment how training pictures vary
     */
    public record Data(List<String> labels, LabelTable.Uncertain uncertain, Preprocess preprocess, Augment augment,
            Loader loader) {
        public Data {
            labels = List.copyOf(labels);
            if (labels.isEmpty()) throw new IllegalArgumentException("recipe: labels is []; name at least one");
        }
    }

    /**
     * How films become batches.
     *
     * @param batch films of one forward and backward pass
     * @param accumulate batches whose mean gradient makes one step; batch normalisation sees each batch by itself
     * @param dropLast whether a pass leaves out the films that fill no whole batch
     * @param workers threads that make batches
     * @param prefetch batches made ahead
     */
    public record Loader(int batch, int accumulate, boolean dropLast, int workers, int prefetch) {
        BatchLoader.Options training(int films, long seed, Augment augment) {
            return BatchLoader.Options.training(Math.min(batch, films), seed, augment).withWorkers(workers)
                    .withPrefetch(prefetch).withDropLast(dropLast);
        }

        BatchLoader.Options evaluation() {
            return BatchLoader.Options.evaluation(batch).withWorkers(workers).withPrefetch(prefetch);
        }
    }

    /**
     * How long, and from where to where.
     *
     * @param epochs passes over pooled data
     * @param localEpochs passes over a site's data in one round
     * @param minutes of pooled training after which it ends with the best model so far; 0 for no limit
     * @param earlyStop when pooled training ends since nothing gets better
     * @param keepOptimizer whether a site's optimizer keeps its moments from round to round, or begins each anew
     * @param warmStart training on a few films before all else, and the weights to begin with
     */
    public record Course(int epochs, int localEpochs, double minutes, EarlyStop earlyStop, boolean keepOptimizer,
            WarmStart warmStart) {
        public Course {
            if (!(minutes >= 0 && Double.isFinite(minutes)))
                throw new IllegalArgumentException(
                        "recipe: budget_minutes is " + minutes + "; it is more than 0, or 0 for no limit");
        }

        /** One pass at a time, no limit, nothing special. */
        static Course of(int epochs, int localEpochs) {
            return new Course(epochs, localEpochs, 0, EarlyStop.OFF, false, WarmStart.NONE);
        }
    }

    /**
     * End of a training that gets no better.
     *
     * @param patience epochs without gain after which it ends; 0 for never
     * @param minDelta least gain of the key metric that counts
     */
    public record EarlyStop(int patience, double minDelta) {
        /** Never. */
        public static final EarlyStop OFF = new EarlyStop(0, 0);

        public EarlyStop {
            if (!(minDelta >= 0 && Double.isFinite(minDelta)))
                throw new IllegalArgumentException(
                        "recipe: early_stop.min_delta is " + minDelta + "; it is 0 or more");
        }
    }

    /**
     * What happens before training proper. In a federation whoever submits the job does it, once, and every site begins with
     * what it gave.
     *
     * @param weights safetensors file to begin with, as {@code isthmus import} writes; a relative path is seen from where
     *        the command runs
     * @param subset films to train on first: 1 or more is their number, less is a share of all, 0 is none
     * @param epochs passes over them
     * @param learningRate constant meanwhile; else the optimizer's
     */
    public record WarmStart(Optional<String> weights, double subset, int epochs, OptionalDouble learningRate) {
        /** Initial weights from the seed, no training on a few films. */
        public static final WarmStart NONE = new WarmStart(Optional.empty(), 0, 1, OptionalDouble.empty());

        public WarmStart {
            if (!(subset >= 0 && Double.isFinite(subset)) || (subset > 1 && subset != Math.rint(subset)))
                throw new IllegalArgumentException("recipe: warm_start.subset is " + subset
                        + "; it is a number of films, or a share of all between 0 and 1");
            if (learningRate.isPresent() && !(learningRate.getAsDouble() > 0))
                throw new IllegalArgumentException("recipe: warm_start.learning_rate is " + learningRate.getAsDouble()
                        + "; it is more than 0");
        }

        /** Whether there is training on a few films. */
        public boolean trains() { return subset > 0; }

        /** Films to train on, of so many. */
        int films(int all) {
            return (int) Math.min(all, Math.max(1, subset >= 1 ? subset : Math.round(subset * all)));
        }
    }

    /** Key of the recipe's text in the metadata of weights. */
    public static final String METADATA = "recipe";

    public Recipe {
        Precision.parse(precision);
        int weights = switch (loss) {
            case Loss.BinaryCrossEntropy b -> b.positiveWeights().size();
            case Loss.Focal f -> f.positiveWeights().size();
            default -> throw new IllegalArgumentException("recipe: films are learnt with bce or focal, not " + loss);
        };
        if (weights != 0 && weights != data.labels.size())
            throw new IllegalArgumentException("recipe: the loss has " + weights + " weights for " + data.labels.size()
                    + " labels; give one a label");
    }

    /** The recipe that is shipped for pneumonia on chest films. */
    public static Recipe pneumonia() {
        return shipped("pneumonia").orElseThrow();
    }

    /** A recipe that is shipped, by name. */
    public static Optional<Recipe> shipped(String name) {
        if (!name.matches("[a-z0-9-]+")) return Optional.empty();
        try (InputStream in = Recipe.class.getResourceAsStream(name + ".json")) {
            if (in == null) return Optional.empty();
            return Optional.of(fromJson(new String(in.readAllBytes(), StandardCharsets.UTF_8)));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Reads a recipe; whatever is wrong in it is an error that names its place. */
    public static Recipe fromJson(String text) {
        return RecipeJson.read(text);
    }

    /** The recipe as one JSON object. */
    public String toJson() { return RecipeText.of(this); }

    /** The model's name. */
    public String model() { return network.model; }

    /** Columns of the CSV, one output each. */
    public List<String> labels() { return data.labels; }

    /** What a label of -1 counts as. */
    public LabelTable.Uncertain uncertain() { return data.uncertain; }

    /** What happens to every picture. */
    public Preprocess preprocess() { return data.preprocess; }

    /** Films of one forward and backward pass. */
    public int batch() { return data.loader.batch; }

    /** Passes over pooled data. */
    public int epochs() { return course.epochs; }

    /** Passes over a site's data in one round. */
    public int localEpochs() { return course.localEpochs; }

    /** The same recipe with other numbers of passes. */
    public Recipe withEpochs(int pooled, int local) {
        return with(new Course(pooled, local, course.minutes, course.earlyStop, course.keepOptimizer,
                course.warmStart));
    }

    /** The same recipe with another course. */
    public Recipe with(Course other) {
        return new Recipe(network, data, loss, update, precision, other, seed);
    }

    /** The same recipe with batches made otherwise. */
    public Recipe with(Loader other) {
        return new Recipe(network, new Data(data.labels, data.uncertain, data.preprocess, data.augment, other), loss,
                update, precision, course, seed);
    }

    /** The same recipe with another update. */
    public Recipe with(UpdateRule other) {
        return new Recipe(network, data, loss, other, precision, course, seed);
    }

    /** The same recipe with other weights trained. */
    public Recipe with(Adaptation other) {
        return new Recipe(new Network(network.model, network.dropout, network.stochasticDepth, network.attributes,
                other), data, loss, update, precision, course, seed);
    }

    /** The same recipe with another seed. */
    public Recipe withSeed(long other) {
        return new Recipe(network, data, loss, update, precision, course, other);
    }

    /** The same recipe with another precision. */
    public Recipe withPrecision(String other) {
        return new Recipe(network, data, loss, update, other, course, seed);
    }

    /** The model, with one output a label; patterns of parameter groups that choose nothing in it are an error. */
    public Model build() {
        Preprocess p = data.preprocess;
        Model model = Zoo.model(network.model, Shape.of(p.channels(), p.size(), p.size()), data.labels.size(),
                network.options());
        update.check(model.table());
        return model;
    }

    /** The {@linkplain #build model}, fed with films as a loader gives them; what is exported is the model itself. */
    Model buildForFilms() {
        return LoaderSource.fed(build(), data.preprocess);
    }

    /** What the trainer needs. */
    public Trainer.Options options() {
        return new Trainer.Options(loss, update, Precision.parse(precision), data.loader.batch, data.loader.accumulate,
                seed);
    }

    /** What of this recipe a federation does not heed, one line each, for whoever submits it. */
    public List<String> federationNotes() {
        List<String> notes = new ArrayList<>();
        if (update.ema().isOn())
            notes.add("ema is for pooled training: sites send their weights as they are, and the server averages them");
        if (course.minutes > 0) notes.add("budget_minutes is for pooled training; a federation ends with its rounds");
        if (course.earlyStop.patience > 0)
            notes.add("early_stop is for pooled training; a federation keeps its best round and ends with its last");
        return notes;
    }
}
