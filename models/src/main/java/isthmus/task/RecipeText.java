package isthmus.task;

import isthmus.data.Augment;
import isthmus.data.Preprocess;
import isthmus.nn.Adaptation;
import isthmus.train.Clip;
import isthmus.train.Ema;
import isthmus.train.Loss;
import isthmus.train.LossScaling;
import isthmus.train.OptimizerSpec;
import isthmus.train.ParameterGroup;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import tools.jackson.databind.json.JsonMapper;

/** Writes a recipe as {@link RecipeJson} reads it; what is as it would be without its key is left out. */
final class RecipeText {
    private RecipeText() {}

    static String of(Recipe r) {
        Map<String, Object> top = new LinkedHashMap<>();
        top.put("model", r.model());
        top.put("labels", r.labels());
        top.put("uncertain", r.uncertain().name());
        top.put("preprocess", preprocess(r.preprocess()));
        top.put("augment", augment(r.data().augment()));
        network(top, r.network());
        top.put("precision", r.precision());
        if (!r.update().lossScaling().equals(LossScaling.DEFAULT))
            top.put("loss_scale", lossScale(r.update().lossScaling()));
        loader(top, r.data().loader());
        top.put("epochs", r.epochs());
        top.put("local_epochs", r.localEpochs());
        loss(top, r.loss());
        top.put("optimizer", optimizer(r.update().optimizer(), r.update().groups()));
        top.put("warmup", r.update().schedule().warmupFraction());
        top.put("min_factor", r.update().schedule().minFactor());
        top.put("clip_norm", clip(r.update().clip()));
        if (r.update().ema().isOn()) top.put("ema", ema(r.update().ema()));
        course(top, r.course());
        top.put("seed", r.seed());
        return JsonMapper.shared().writeValueAsString(top);
    }

    /** Keys and values by turns, in this order. */
    private static Map<String, Object> object(Object... pairs) {
        Map<String, Object> map = new LinkedHashMap<>();
        for (int i = 0; i < pairs.length; i += 2)
            map.put((String) pairs[i], pairs[i + 1]);
        return map;
    }

    private static Map<String, Object> preprocess(Preprocess p) {
        return object("resize", p.resize(), "size", p.size(), "fit", p.fit().name(), "channels", p.channels(), "mean",
                p.mean(), "std", p.std());
    }

    private static Map<String, Object> augment(Augment a) {
        return object("shift", a.shift(), "flip", a.flip(), "degrees", a.degrees(), "scale", a.scale(), "brightness",
                a.brightness(), "contrast", a.contrast(), "gamma", a.gamma());
    }

    private static void network(Map<String, Object> top, Recipe.Network n) {
        top.put("dropout", n.dropout());
        if (n.stochasticDepth() != 0) top.put("stochastic_depth", n.stochasticDepth());
        if (!n.attributes().isEmpty()) top.put("attributes", new java.util.TreeMap<>(n.attributes()));
        Adaptation a = n.adaptation();
        if (!a.frozen().isEmpty()) top.put("freeze", a.frozen());
        if (!a.trainable().isEmpty()) top.put("train_only", a.trainable());
        a.lora().ifPresent(
                l -> top.put("lora", object("rank", l.rank(), "alpha", l.alpha(), "layers", l.layers())));
    }

    private static Map<String, Object> lossScale(LossScaling s) {
        return object("initial", s.initial(), "growth", s.growth(), "backoff", s.backoff(), "growth_interval",
                s.growthInterval());
    }

    private static void loader(Map<String, Object> top, Recipe.Loader l) {
        top.put("batch", l.batch());
        if (l.accumulate() != 1) top.put("accumulate", l.accumulate());
        if (!l.equals(new Recipe.Loader(l.batch(), l.accumulate(), true, 2, 4)))
            top.put("loader", object("drop_last", l.dropLast(), "workers", l.workers(), "prefetch", l.prefetch()));
    }

    private static void loss(Map<String, Object> top, Loss loss) {
        Map<String, Object> text = switch (loss) {
            case Loss.BinaryCrossEntropy b when b.positiveWeights().isEmpty() -> object();
            case Loss.BinaryCrossEntropy b -> object("name", "bce");
            case Loss.Focal f -> object("name", "focal", "gamma", f.gamma(), "alpha", f.alpha());
            default -> throw new IllegalArgumentException("recipe: no word for " + loss);
        };
        List<Float> weights = loss instanceof Loss.Focal f
                ? f.positiveWeights()
                : ((Loss.BinaryCrossEntropy) loss).positiveWeights();
        if (!weights.isEmpty()) text.put("class_weights", weights);
        if (!text.isEmpty()) top.put("loss", text);
    }

    private static Map<String, Object> optimizer(OptimizerSpec spec, List<ParameterGroup> groups) {
        Map<String, Object> text = switch (spec) {
            case OptimizerSpec.Sgd s -> sgd(s);
            case OptimizerSpec.Adam a -> adam(a);
        };
        if (!groups.isEmpty()) text.put("groups", groups.stream().map(g -> {
            Map<String, Object> group = object("pattern", g.pattern(), "lr_factor", g.learningRateFactor());
            g.weightDecay().ifPresent(d -> group.put("weight_decay", d));
            return group;
        }).toList());
        return text;
    }

    private static Map<String, Object> sgd(OptimizerSpec.Sgd s) {
        Map<String, Object> text = object("name", "sgd", "learning_rate", s.learningRate(), "weight_decay",
                s.weightDecay());
        if (s.momentum() != 0.9) text.put("momentum", s.momentum());
        if (s.nesterov()) text.put("nesterov", true);
        return text;
    }

    private static Map<String, Object> adam(OptimizerSpec.Adam a) {
        Map<String, Object> text = object("name", a.decoupled() ? "adamw" : "adam", "learning_rate", a.learningRate(),
                "weight_decay", a.weightDecay());
        if (a.beta1() != 0.9 || a.beta2() != 0.999) text.put("betas", List.of(a.beta1(), a.beta2()));
        if (a.epsilon() != 1e-8) text.put("epsilon", a.epsilon());
        if (a.amsgrad()) text.put("amsgrad", true);
        return text;
    }

    private static Object clip(Clip clip) {
        if (clip.phases().size() == 1) return clip.phases().getFirst().norm();
        return clip.phases().stream().map(p -> object("until_fraction", p.untilFraction(), "norm", p.norm())).toList();
    }

    private static Map<String, Object> ema(Ema ema) { return object("decay", ema.decay(), "warmup", ema.warmup()); }

    private static void course(Map<String, Object> top, Recipe.Course c) {
        if (c.minutes() != 0) top.put("budget_minutes", c.minutes());
        if (c.earlyStop().patience() != 0)
            top.put("early_stop",
                    object("patience", c.earlyStop().patience(), "min_delta", c.earlyStop().minDelta()));
        if (c.keepOptimizer()) top.put("optimizer_state", "keep");
        Recipe.WarmStart w = c.warmStart();
        if (w.equals(Recipe.WarmStart.NONE)) return;
        Map<String, Object> text = object();
        w.weights().ifPresent(f -> text.put("weights", f));
        if (w.trains()) {
            text.put("subset", w.subset());
            text.put("epochs", w.epochs());
        }
        w.learningRate().ifPresent(r -> text.put("learning_rate", r));
        top.put("warm_start", text);
    }
}
