package isthmus.task;

import isthmus.data.Augment;
import isthmus.data.DataException;
import isthmus.data.LabelTable;
import isthmus.data.Preprocess;
import isthmus.nn.Adaptation;
import isthmus.nn.Lora;
import isthmus.train.Clip;
import isthmus.train.Ema;
import isthmus.train.Loss;
import isthmus.train.LossScaling;
import isthmus.train.OptimizerSpec;
import isthmus.train.ParameterGroup;
import isthmus.train.Schedule;
import isthmus.train.UpdateRule;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalDouble;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * A recipe's JSON. A recipe must name model, labels, preprocess, batch and optimizer (name and learning_rate); everything
 * else has a default, so a recipe of an earlier version is one of this version. {@link RecipeText} writes what this reads.
 */
final class RecipeJson {
    private static final JsonMapper JSON = JsonMapper.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS).build();

    private RecipeJson() {}

    static Recipe read(String text) {
        try {
            JsonSection top = new JsonSection("", JSON.readTree(text));
            Recipe recipe = new Recipe(network(top), data(top), loss(top), update(top),
                    top.text("precision", "amp"), course(top), top.whole("seed", 1));
            top.end();
            return recipe;
        } catch (JacksonException e) {
            throw new IllegalArgumentException("recipe: no JSON: " + e.getOriginalMessage() + " at line "
                    + e.getLocation().getLineNr(), e);
        } catch (DataException e) {
            throw new IllegalArgumentException("recipe: " + e.getMessage(), e);
        } catch (IllegalArgumentException e) {
            if (e.getMessage().startsWith("recipe: ")) throw e;
            throw new IllegalArgumentException("recipe: " + e.getMessage(), e);
        }
    }

    private static Recipe.Network network(JsonSection top) {
        Optional<Lora> lora = Optional.empty();
        if (top.has("lora")) {
            JsonSection s = top.section("lora");
            lora = Optional.of(new Lora(s.count("rank"), s.number("alpha"), s.texts("layers", List.of("*"))));
            s.end();
        }
        return new Recipe.Network(top.text("model"), top.number("dropout", 0), top.number("stochastic_depth", 0),
                top.wholeNumbers("attributes"),
                new Adaptation(top.texts("freeze", List.of()), top.texts("train_only", List.of()), lora));
    }

    private static Recipe.Data data(JsonSection top) {
        var uncertain = top.has("uncertain")
                ? LabelTable.Uncertain
                        .valueOf(top.word("uncertain", "ignore", "ones", "zeros").toUpperCase(Locale.ROOT))
                : LabelTable.Uncertain.IGNORE;
        return new Recipe.Data(top.texts("labels"), uncertain, preprocess(top.section("preprocess")),
                top.has("augment") ? augment(top.section("augment")) : Augment.NONE, loader(top));
    }

    private static Preprocess preprocess(JsonSection s) {
        var made = new Preprocess(s.count("resize"), s.count("size"),
                Preprocess.Fit.valueOf(s.word("fit", "crop", "stretch").toUpperCase(Locale.ROOT)), s.count("channels"),
                s.numbers("mean", List.of(0.5)), s.numbers("std", List.of(0.25)));
        s.end();
        return made;
    }

    private static Augment augment(JsonSection s) {
        var made = new Augment(s.number("shift", 0), s.number("flip", 0), s.number("degrees", 0), s.number("scale", 0),
                s.number("brightness", 0), s.number("contrast", 0), s.number("gamma", 0));
        s.end();
        return made;
    }

    private static Recipe.Loader loader(JsonSection top) {
        int batch = top.count("batch");
        int accumulate = top.count("accumulate", 1);
        if (!top.has("loader")) return new Recipe.Loader(batch, accumulate, true, 2, 4);
        JsonSection s = top.section("loader");
        var made = new Recipe.Loader(batch, accumulate, s.flag("drop_last", true), s.count("workers", 2),
                s.count("prefetch", 4));
        s.end();
        return made;
    }

    private static Loss loss(JsonSection top) {
        if (!top.has("loss")) return new Loss.BinaryCrossEntropy(List.of());
        JsonSection s = top.section("loss");
        String name = s.word("name", "bce", "focal");
        List<Float> weights = s.numbers("class_weights", List.of()).stream().map(Double::floatValue).toList();
        for (float w : weights)
            if (!(w > 0)) throw new IllegalArgumentException("loss.class_weights has " + w + "; each is more than 0");
        Loss made = name.equals("bce")
                ? new Loss.BinaryCrossEntropy(weights)
                : new Loss.Focal(notNegative("loss.gamma", s.number("gamma", 2)),
                        notNegative("loss.alpha", s.number("alpha", 1)), weights);
        s.end();
        return made;
    }

    private static double notNegative(String key, double value) {
        if (!(value >= 0)) throw new IllegalArgumentException(key + " is " + value + "; it is 0 or more");
        return value;
    }

    private static UpdateRule update(JsonSection top) {
        JsonSection optimizer = top.section("optimizer");
        OptimizerSpec spec = spec(optimizer);
        List<ParameterGroup> groups = optimizer.sections("groups").stream().map(RecipeJson::group).toList();
        optimizer.end();
        return new UpdateRule(spec, groups, new Schedule(top.number("warmup", 0), top.number("min_factor", 0)),
                clip(top), lossScaling(top), ema(top));
    }

    private static OptimizerSpec spec(JsonSection s) {
        String name = s.word("name", "sgd", "adam", "adamw");
        double rate = s.number("learning_rate");
        double decay = s.number("weight_decay", 0);
        if (name.equals("sgd"))
            return new OptimizerSpec.Sgd(rate, s.number("momentum", 0.9), s.flag("nesterov", false), decay);
        List<Double> betas = s.numbers("betas", List.of(0.9, 0.999));
        if (betas.size() != 2)
            throw new IllegalArgumentException(
                    "optimizer.betas is " + betas + "; it is two numbers, such as [0.9, 0.999]");
        return new OptimizerSpec.Adam(rate, betas.get(0), betas.get(1), s.number("epsilon", 1e-8), decay,
                name.equals("adamw"), s.flag("amsgrad", false));
    }

    private static ParameterGroup group(JsonSection s) {
        var made = new ParameterGroup(s.text("pattern"), s.number("lr_factor", 1),
                s.has("weight_decay") ? OptionalDouble.of(s.number("weight_decay")) : OptionalDouble.empty());
        s.end();
        return made;
    }

    private static Clip clip(JsonSection top) {
        if (!top.isList("clip_norm")) return Clip.norm(top.number("clip_norm", 0));
        return new Clip(top.sections("clip_norm").stream().map(s -> {
            var made = new Clip.Phase(s.number("until_fraction"), s.number("norm"));
            s.end();
            return made;
        }).toList());
    }

    private static LossScaling lossScaling(JsonSection top) {
        LossScaling d = LossScaling.DEFAULT;
        if (!top.has("loss_scale")) return d;
        JsonSection s = top.section("loss_scale");
        var made = new LossScaling(s.number("initial", d.initial()), s.number("growth", d.growth()),
                s.number("backoff", d.backoff()), s.count("growth_interval", d.growthInterval()));
        s.end();
        return made;
    }

    private static Ema ema(JsonSection top) {
        if (!top.has("ema")) return Ema.OFF;
        JsonSection s = top.section("ema");
        var made = new Ema(s.number("decay"), s.flag("warmup", true));
        s.end();
        return made;
    }

    private static Recipe.Course course(JsonSection top) {
        boolean keep = top.has("optimizer_state") && top.word("optimizer_state", "reset", "keep").equals("keep");
        return new Recipe.Course(top.count("epochs", 1), top.count("local_epochs", 1), top.number("budget_minutes", 0),
                earlyStop(top), keep, warmStart(top));
    }

    private static Recipe.EarlyStop earlyStop(JsonSection top) {
        if (!top.has("early_stop")) return Recipe.EarlyStop.OFF;
        JsonSection s = top.section("early_stop");
        var made = new Recipe.EarlyStop(s.count("patience"), s.number("min_delta", 0));
        s.end();
        return made;
    }

    private static Recipe.WarmStart warmStart(JsonSection top) {
        if (!top.has("warm_start")) return Recipe.WarmStart.NONE;
        JsonSection s = top.section("warm_start");
        var made = new Recipe.WarmStart(s.has("weights") ? Optional.of(s.text("weights")) : Optional.empty(),
                s.number("subset", 0), s.count("epochs", 1),
                s.has("learning_rate") ? OptionalDouble.of(s.number("learning_rate")) : OptionalDouble.empty());
        s.end();
        if (made.weights().isEmpty() && !made.trains())
            throw new IllegalArgumentException("warm_start says neither weights (a file) nor subset (films)");
        return made;
    }
}
