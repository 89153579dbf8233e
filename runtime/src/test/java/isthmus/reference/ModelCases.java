package isthmus.reference;

import isthmus.backend.Backend;
import isthmus.backend.Precision;
import isthmus.nn.Adaptation;
import isthmus.nn.Lora;
import isthmus.nn.Model;
import isthmus.tensor.ChannelsLast;
import isthmus.tensor.DType;
import isthmus.tensor.Region;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import isthmus.tensor.WeightTable;
import isthmus.train.Evaluator;
import isthmus.train.Loss;
import isthmus.train.OptimizerSpec;
import isthmus.train.Trainer;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.StreamSupport;
import tools.jackson.databind.JsonNode;

/** Model cases: SGD steps on one batch, against losses, gradients, running statistics and evaluation logits. */
final class ModelCases {
    /** A gradient that is zero but for rounding, as of a bias before batch norm: {@code grad_worst} leaves these out, too. */
    private static final double NOTHING = 1e-8;
    private static final double ROUNDING = 1e-6;

    private final Case c;
    private final Precision precision;
    private final Outcome outcome;

    private ModelCases(Case c, Precision precision) {
        this.c = c;
        this.precision = precision;
        this.outcome = new Outcome(c.name(), precision.name().toLowerCase(java.util.Locale.ROOT));
    }

    static Outcome run(Case c, Precision precision, Backend backend) {
        String model = c.json().get("model").asString();
        if (StreamSupport.stream(Zoo.names().spliterator(), false).noneMatch(model::equals)) {
            return Outcome.skipped(c.name(), precision.name().toLowerCase(java.util.Locale.ROOT),
                    "model " + model + " is not built yet");
        }
        return new ModelCases(c, precision).run(backend);
    }

    private Outcome run(Backend backend) {
        Shape image = Case.shape(c.json().get("image"));
        Shape one = Shape.of(java.util.Arrays.copyOfRange(image.dims(), 1, image.rank()));
        Model model = Zoo.model(c.json().get("model").asString(), one,
                c.attrs().get("classes").asInt(), options(c.attrs()));
        checkNames(model);
        Optional<Loss> loss = loss(c.json().get("loss").asString());
        if (loss.isEmpty())
            return Outcome.skipped(c.name(), outcome.precision,
                    "loss " + c.json().get("loss").asString() + " is not built yet");
        double lr = c.json().get("optimizer").get("sgd").get("lr").asDouble();
        Trainer.Options options = Trainer.Options.of(loss.get(), OptimizerSpec.sgd(lr), precision, image.dim(0));
        try (Trainer trainer = new Trainer(model, options, backend)) {
            for (WeightTable.Entry e : model.table().entries()) {
                MemorySegment.copy(initial(e), 0, trainer.weights().slice(e), ValueLayout.JAVA_FLOAT, 0,
                        (int) e.elements());
            }
            ChannelsLast.pack(c.fill().values(c.name() + "/image", image, 1), image, DType.F32, trainer.images());
            labels(trainer, Case.shape(c.expect().get("logits_shape")));
            step(model, trainer, backend);
        }
        return outcome;
    }

    /** What a network of the catalogue knows; the others of a case's attributes are said elsewhere or are its defaults. */
    private static final Set<String> ATTRIBUTES = Set.of("init_filters", "blocks_down", "blocks_up", "anchors",
            "conv1_stride", "returned_layers");

    private static ModelOptions options(JsonNode attrs) {
        Map<String, List<Integer>> own = new TreeMap<>();
        for (Map.Entry<String, JsonNode> e : attrs.properties()) {
            List<Integer> values = new ArrayList<>();
            if (e.getValue().isArray()) e.getValue().forEach(v -> values.add(v.asInt()));
            else if (e.getValue().isInt()) values.add(e.getValue().asInt());
            if (ATTRIBUTES.contains(e.getKey())) own.put(e.getKey(), values);
        }
        ModelOptions options = ModelOptions.DEFAULT.with(own);
        if (!attrs.has("lora")) return options;
        JsonNode lora = attrs.get("lora");
        List<String> layers = new ArrayList<>();
        lora.get("layers").forEach(l -> layers.add(l.asString()));
        return options.with(Adaptation.lora(new Lora(lora.get("rank").asInt(), lora.get("alpha").asDouble(), layers)));
    }

    private void checkNames(Model model) {
        JsonNode expected = c.json().get("parameters");
        java.util.Set<String> trainable = new java.util.HashSet<>();
        c.json().get("trainable").forEach(t -> trainable.add(t.asString()));
        int known = 0;
        for (WeightTable.Entry e : model.table().entries()) {
            if (e.region() == Region.STATISTICS) continue;
            known++;
            boolean trained = e.region() == Region.TRAINABLE;
            outcome.check("region of " + e.name(), trained == trainable.contains(e.name()) ? 0 : 1, 0.5);
            boolean same = expected.has(e.name()) && Case.shape(expected.get(e.name())).equals(e.shape());
            outcome.check("name and shape of " + e.name(), same ? 0 : 1, 0.5);
        }
        outcome.check("number of parameters", Math.abs(known - expected.size()), 0.5);
    }

    private static Optional<Loss> loss(String name) {
        return switch (name) {
            case "dice_ce" -> Optional.of(new Loss.DiceCrossEntropy(1e-5f, true));
            case "cross_entropy" -> Optional.of(new Loss.SoftmaxCrossEntropy());
            case "bce_with_logits" -> Optional.of(new Loss.BinaryCrossEntropy(List.of()));
            case "focal" -> Optional.of(new Loss.Focal(2, 1, List.of()));
            default -> Optional.empty();
        };
    }

    private float[] initial(WeightTable.Entry e) {
        if (e.region() == Region.STATISTICS) {
            float[] v = new float[(int) e.elements()];
            if (e.name().endsWith("running_var")) java.util.Arrays.fill(v, 1);
            return v;
        }
        if (e.name().contains("lora_B")) return c.fill().values(e.name(), e.shape(), 0.02f);
        if (e.shape().rank() >= 2)
            return c.fill().values(e.name(), e.shape(), (float) Math.sqrt(6.0 / e.shape().elementsFrom(1)));
        float[] v = c.fill().values(e.name(), e.shape(), 0.1f);
        if (e.name().endsWith("weight")) for (int i = 0; i < v.length; i++)
            v[i] += 1;
        return v;
    }

    private void labels(Trainer trainer, Shape logits) {
        String name = c.name() + "/target";
        if (List.of("cross_entropy", "dice_ce").contains(c.json().get("loss").asString())) {
            Shape positions = Shape.of(Math.toIntExact(logits.elements() / logits.dim(1)));
            ChannelsLast.pack(c.fill().classes(name, positions, logits.dim(1)), positions, DType.I32, trainer.labels());
        } else {
            ChannelsLast.pack(c.fill().bits(name, logits), logits, DType.F32, trainer.labels());
        }
    }

    private void step(Model model, Trainer trainer, Backend backend) {
        boolean half = precision != Precision.FP32;
        JsonNode error = c.json().get(half ? "pytorch_bfloat16_error" : "pytorch_float32_error");
        double[] losses = Case.numbers(c.expect().get("losses"));
        backend.enter();
        for (int s = 0; s < losses.length; s++) {
            trainer.forwardBackward();
            if (s == 0) first(trainer, error, half);
            double got = trainer.loss();
            double off = Math.abs(got - losses[s]) / Math.abs(losses[s]);
            double tolerance = half
                    ? bfloat16(error, s)
                    : float32(error, s);
            outcome.check("loss " + s, off, tolerance);
            trainer.update(1);
        }
        if (!half) last(model, trainer, backend, error);
    }

    /**
     * Three times PyTorch's own error. The first loss is a mean over logits that may be off by twice PyTorch's error, and
     * whether their errors cancel in it is a draw, so it may be off as far as they; after a step along gradients that
     * bfloat16 has already turned, it is four times the largest error of the run, as in float32. How near one loss comes is
     * a draw, too: PyTorch run again, with another version of its kernels, misses its own figure for one step by ten times;
     * and EfficientNet-B0 with only its stem and first block in bfloat16, the rest in float32, misses by as much.
     */
    private static double bfloat16(JsonNode error, int step) {
        double[] losses = Case.numbers(error.get("losses"));
        double own = step == 0
                ? Math.max(3 * losses[0], 2 * error.get("logits").asDouble())
                : 4 * java.util.Arrays.stream(losses).max().orElseThrow();
        return Math.max(0.05, own);
    }

    /**
     * Four times PyTorch's own error. The first loss is a function of the logits; later ones come after weights have moved
     * along gradients that are off by {@code grad_worst}, and are held to the error {@linkplain #trained after training}.
     */
    private static double float32(JsonNode error, int step) {
        return Math.max(1e-4, 4 * (step == 0 ? error.get("logits").asDouble() : trained(error)));
    }

    /**
     * PyTorch's error after the steps, of which a case gives three figures: the first gradients', the last loss's and the last
     * logits'. The largest counts. Training turns signs of values near zero, and how near any one figure comes is a draw: of twelve
     * sets of numbers for ResNet-34, PyTorch with another memory format misses its own figures in nine.
     */
    private static double trained(JsonNode error) {
        double figures = Math.max(error.get("loss_last").asDouble(), error.get("eval_logits_after").asDouble());
        return Math.max(figures, error.get("grad_worst").asDouble());
    }

    private void first(Trainer trainer, JsonNode error, boolean half) {
        Shape shape = Case.shape(c.expect().get("logits_shape"));
        float[] logits = ChannelsLast.unpack(trainer.logits(), shape, DType.F32);
        double tolerance = half
                ? Math.max(1e-2, 2 * error.get("logits").asDouble())
                : Math.max(1e-4, 4 * error.get("logits").asDouble());
        JsonNode all = c.expect().get("logits");
        if (all.isNull())
            compare("logits", print(c.name() + "/logits", shape, logits), c.expect().get("logits_print"), tolerance);
        else
            outcome.check("logits", Outcome.relative(logits, Case.numbers(all)), tolerance);
        double got = 0;
        double expected = 0;
        Iterator<java.util.Map.Entry<String, JsonNode>> grads = c.expect().get("grads").properties().iterator();
        while (grads.hasNext()) {
            java.util.Map.Entry<String, JsonNode> e = grads.next();
            WeightTable.Entry entry = trainer.weights().table().entry(e.getKey());
            Print p = print(e.getKey(), entry.shape(),
                    trainer.gradients().slice(entry).toArray(ValueLayout.JAVA_FLOAT));
            got += p.norm * p.norm;
            expected += Math.pow(e.getValue().get("norm").asDouble(), 2);
            if (!half && e.getValue().get("norm").asDouble() <= NOTHING)
                outcome.check("grad " + e.getKey() + ", which is rounding alone", p.norm, ROUNDING);
            else if (!half)
                compare("grad " + e.getKey(), p, e.getValue(), Math.max(1e-4, 4 * error.get("grad_worst").asDouble()));
        }
        if (half) {
            double norm = Math.sqrt(got) / trainer.lossScale();
            double off = Math.abs(norm - Math.sqrt(expected)) / Math.sqrt(expected);
            outcome.check("norm of all gradients", off, Math.max(0.05, error.get("grad_all").asDouble()));
        }
    }

    private void last(Model model, Trainer trainer, Backend backend, JsonNode error) {
        double worst = Math.max(1e-4, 4 * trained(error));
        for (java.util.Map.Entry<String, JsonNode> e : c.expect().get("state_after").properties()) {
            WeightTable.Entry entry = trainer.weights().table().entry(e.getKey());
            compare("state " + e.getKey(),
                    print(e.getKey(), entry.shape(), trainer.weights().slice(entry).toArray(ValueLayout.JAVA_FLOAT)),
                    e.getValue(), worst);
        }
        Shape image = Case.shape(c.json().get("image"));
        Shape shape = Case.shape(c.expect().get("logits_shape"));
        float[] logits;
        try (Evaluator evaluator = new Evaluator(model, trainer.weights(), image.dim(0), precision, backend)) {
            ChannelsLast.pack(c.fill().values(c.name() + "/image", image, 1), image, DType.F32, evaluator.images());
            evaluator.run();
            logits = ChannelsLast.unpack(evaluator.logits(), shape, DType.F32);
        }
        Print p = print(c.name() + "/final", shape, logits);
        compare("eval logits after", p, c.expect().get("eval_logits_after"),
                Math.max(1e-4, 4 * error.get("eval_logits_after").asDouble()));
    }

    private record Print(double norm, double dot) {}

    private Print print(String name, Shape shape, float[] v) {
        float[] probe = c.fill().values(name + "/probe", shape, 1);
        double norm = 0;
        double dot = 0;
        for (int i = 0; i < v.length; i++) {
            norm += (double) v[i] * v[i];
            dot += (double) v[i] * probe[i];
        }
        return new Print(Math.sqrt(norm), dot);
    }

    private void compare(String what, Print got, JsonNode expected, double tolerance) {
        double norm = expected.get("norm").asDouble();
        double scale = Math.max(norm, 1e-8);
        outcome.check(what + " norm", Math.abs(got.norm - norm) / scale, tolerance);
        outcome.check(what + " dot", Math.abs(got.dot - expected.get("dot").asDouble()) / scale, tolerance);
    }
}
