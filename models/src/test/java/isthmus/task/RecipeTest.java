package isthmus.task;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import isthmus.nn.Adaptation;
import isthmus.tensor.Region;
import isthmus.train.Clip;
import isthmus.train.Ema;
import isthmus.train.Loss;
import isthmus.train.LossScaling;
import isthmus.train.OptimizerSpec;
import isthmus.train.ParameterGroup;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.OptionalDouble;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Recipes: what each key means, defaults, and what is said of wrong ones. */
class RecipeTest {
    /** Every key that there is, none at its default. */
    private static final String ALL = """
            {"model": "resnet34", "freeze": ["bn1"], "train_only": ["layer4", "fc", "bn1"],
             "lora": {"rank": 4, "alpha": 8, "layers": ["layer4.0.conv1"]},
             "labels": ["A", "B"], "uncertain": "ones", "dropout": 0.25, "stochastic_depth": 0.125, "attributes": {},
             "preprocess": {"resize": 40, "size": 32, "fit": "stretch", "channels": 1, "mean": [0.4], "std": [0.3]},
             "augment": {"shift": 0.1, "flip": 0.5, "degrees": 3, "scale": 0.2, "brightness": 0.3, "contrast": 0.4, "gamma": 0.5},
             "precision": "f16", "loss_scale": {"initial": 512, "growth": 4, "backoff": 0.25, "growth_interval": 7},
             "batch": 6, "accumulate": 3, "loader": {"drop_last": false, "workers": 3, "prefetch": 5},
             "epochs": 9, "local_epochs": 2,
             "loss": {"name": "focal", "gamma": 1.5, "alpha": 0.5, "class_weights": [2, 0.5]},
             "optimizer": {"name": "adam", "learning_rate": 5e-4, "weight_decay": 0.01, "betas": [0.8, 0.95],
                           "epsilon": 1e-6, "amsgrad": true,
                           "groups": [{"pattern": "fc", "lr_factor": 12}, {"pattern": "conv1", "lr_factor": 2.5, "weight_decay": 0}]},
             "optimizer_state": "keep", "warmup": 0.1, "min_factor": 0.05,
             "clip_norm": [{"until_fraction": 0.1, "norm": 3.0}, {"until_fraction": 1, "norm": 1.5}],
             "ema": {"decay": 0.99, "warmup": false}, "early_stop": {"patience": 4, "min_delta": 0.002},
             "budget_minutes": 12.5,
             "warm_start": {"weights": "start.safetensors", "subset": 64, "epochs": 2, "learning_rate": 0.002}, "seed": 77}
            """;

    private static String old() throws IOException {
        try (InputStream in = RecipeTest.class.getResourceAsStream("recipe-of-0.1.json")) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    @Test
    void everyKeyArrives() {
        Recipe r = Recipe.fromJson(ALL);
        assertEquals(List.of("bn1"), r.network().adaptation().frozen());
        assertEquals(List.of("layer4", "fc", "bn1"), r.network().adaptation().trainable());
        assertEquals(4, r.network().adaptation().lora().orElseThrow().rank());
        assertEquals(0.25, r.network().dropout());
        assertEquals(0.125, r.network().stochasticDepth());
        assertEquals("f16", r.precision());
        assertEquals(new LossScaling(512, 4, 0.25, 7), r.update().lossScaling());
        assertEquals(new Recipe.Loader(6, 3, false, 3, 5), r.data().loader());
        assertEquals(new Loss.Focal(1.5, 0.5, List.of(2f, 0.5f)), r.loss());
        assertEquals(new OptimizerSpec.Adam(5e-4, 0.8, 0.95, 1e-6, 0.01, false, true), r.update().optimizer());
        assertEquals(List.of(ParameterGroup.of("fc", 12), new ParameterGroup("conv1", 2.5, OptionalDouble.of(0))),
                r.update().groups());
        assertEquals(new Clip(List.of(new Clip.Phase(0.1, 3), new Clip.Phase(1, 1.5))), r.update().clip());
        assertEquals(new Ema(0.99, false), r.update().ema());
        assertEquals(12.5, r.course().minutes());
        assertEquals(new Recipe.EarlyStop(4, 0.002), r.course().earlyStop());
        assertTrue(r.course().keepOptimizer());
        assertEquals(64, r.course().warmStart().subset());
        assertEquals("start.safetensors", r.course().warmStart().weights().orElseThrow());
        assertEquals(77, r.seed());
        assertEquals(r, Recipe.fromJson(r.toJson()), "written and read again");
        assertEquals(3, r.federationNotes().size());
    }

    @Test
    void anOldRecipeIsStillOne() throws IOException {
        Recipe r = Recipe.fromJson(old());
        assertEquals(new OptimizerSpec.Adam(0.001, 0.9, 0.999, 1e-8, 0.01, true, false), r.update().optimizer());
        assertEquals(Clip.norm(3), r.update().clip());
        assertEquals(new Loss.BinaryCrossEntropy(List.of()), r.loss());
        assertEquals(Ema.OFF, r.update().ema());
        assertEquals(Recipe.Course.of(40, 1), r.course());
        assertEquals(new Recipe.Loader(16, 1, true, 2, 4), r.data().loader());
        assertEquals(Adaptation.NONE, r.network().adaptation());
        assertEquals(r, Recipe.fromJson(r.toJson()));
        assertEquals(List.of(), r.federationNotes());
    }

    @ParameterizedTest
    @ValueSource(strings = {"pneumonia", "resnet34-layerwise", "resnet34-head"})
    void shippedRecipesBuild(String name) {
        Recipe r = Recipe.shipped(name).orElseThrow();
        assertTrue(r.build().table().range(Region.TRAINABLE).length() > 0);
        assertEquals(r, Recipe.fromJson(r.toJson()));
    }

    @Test
    void theHeadRecipeTrainsTheHeadOnly() {
        var table = Recipe.shipped("resnet34-head").orElseThrow().build().table();
        table.entries().forEach(e -> assertEquals(e.name().startsWith("layer4.") || e.name().startsWith("fc."),
                e.region() == Region.TRAINABLE || (e.name().startsWith("layer4.") && e.region() == Region.STATISTICS),
                e.name()));
    }

    @Test
    void nothingElseIsShipped() {
        for (String name : List.of("", "nothing", "../task/pneumonia", "pneumonia.json"))
            assertTrue(Recipe.shipped(name).isEmpty(), name);
    }

    /** Where the text {@code a} is replaced by {@code b}, this is said. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            "warmup": 0.1  | "warm_up": 0.1 | recipe: warm_up is not known; did you mean "warmup"?
            "seed"         | "sed"          | recipe: sed is not known; did you mean "seed"?
            "amsgrad"      | "amsgrat"      | recipe: optimizer.amsgrat is not known; did you mean "amsgrad"?
            "lr_factor": 2.5 | "lr_faktor": 2.5 | recipe: optimizer.groups[1].lr_faktor is not known; did you mean "lr_factor"?
            "gamma": 1.5   | "gama": 1.5    | recipe: loss.gama is not known; did you mean "gamma"?
            "subset"       | "subsets"      | recipe: warm_start.subsets is not known; did you mean "subset"?
            "until_fraction": 1, | "until": 1, | recipe: clip_norm[1].until_fraction is missing
            "optimizer":   | "optimiser":   | recipe: optimizer is missing; "optimiser" is not known, write "optimizer"
            "labels"       | "lables"       | recipe: labels is missing; "lables" is not known, write "labels"
            "betas": [0.8, 0.95], | "zzzzzzzz": 1, | recipe: optimizer.zzzzzzzz is not known; there are name, learning_rate, weight_decay, betas, epsilon, amsgrad, groups
            "name": "adam" | "name": "sgd"  | recipe: optimizer.betas is not known
            "batch": 6     | "batch": "6"   | recipe: batch is "6"; it is a whole number, 1 or more
            "batch": 6     | "batch": 0     | recipe: batch is 0; it is a whole number, 1 or more
            "batch": 6     | "batch": 1.5   | recipe: batch is 1.5; it is a whole number, 1 or more
            "batch": 6     | "batch": null  | recipe: batch is null; it is a whole number, 1 or more
            "epochs": 9    | "epochs": 99999999999 | recipe: epochs is 99999999999; it is a whole number, 1 or more
            "seed": 77     | "seed": 1e3    | recipe: seed is 1000.0; it is a whole number
            "drop_last": false | "drop_last": 0 | recipe: loader.drop_last is 0; it is true or false
            "name": "adam" | "name": "lion" | recipe: optimizer.name is "lion"; it is one of sgd, adam, adamw
            "name": "focal" | "name": 3     | recipe: loss.name is 3; it is one of bce, focal
            "optimizer_state": "keep" | "optimizer_state": true | recipe: optimizer_state is true; it is one of reset, keep
            "learning_rate": 5e-4 | "learning_rate": 0 | recipe: optimizer: learning_rate is 0.0; it is more than 0
            "betas": [0.8, 0.95] | "betas": [0.8] | recipe: optimizer.betas is [0.8]; it is two numbers, such as [0.9, 0.999]
            "betas": [0.8, 0.95] | "betas": [0.8, 1] | recipe: optimizer: the second of betas is 1.0; it is 0 or more, less than 1
            "betas": [0.8, 0.95] | "betas": 0.8 | recipe: optimizer.betas is 0.8; it is a list of numbers
            "class_weights": [2, 0.5] | "class_weights": [2] | recipe: the loss has 1 weights for 2 labels; give one a label
            "class_weights": [2, 0.5] | "class_weights": [2, -1] | recipe: loss.class_weights has -1.0; each is more than 0
            "lr_factor": 12 | "lr_factor": 0 | recipe: parameter group 'fc': the learning-rate factor is 0.0
            "groups": [    | "groups": 3, "x": [ | recipe: optimizer.groups is 3; it is a list of objects
            "norm": 1.5    | "norm": -1     | recipe: clip: the norm is -1.0; it is 0 (no limit) or more
            "until_fraction": 1, | "until_fraction": 0.9, | recipe: clip: the last phase ends at 0.9; it ends at 1
            "warmup": 0.1  | "warmup": 2    | recipe: schedule: warm-up fraction 2.0 and least factor 0.05 must lie in 0 to 1
            "decay": 0.99  | "decay": 1     | recipe: ema: the decay is 1.0; it is 0 (off) or more, less than 1
            "patience": 4  | "patience": 0  | recipe: early_stop.patience is 0; it is a whole number, 1 or more
            "budget_minutes": 12.5 | "budget_minutes": -1 | recipe: budget_minutes is -1.0; it is more than 0, or 0 for no limit
            "subset": 64   | "subset": 1.5  | recipe: warm_start.subset is 1.5; it is a number of films, or a share of all between 0 and 1
            "growth_interval": 7 | "growth_interval": 0 | recipe: loss_scale.growth_interval is 0; it is a whole number, 1 or more
            "backoff": 0.25 | "backoff": 1  | recipe: loss scaling: backoff is 1.0; it is between 0 and 1
            "precision": "f16" | "precision": "fp8" | recipe: precision 'fp8' is not known; choose
            "model": "resnet34" | "model": "resnet43" | recipe: no model is called 'resnet43'; did you mean "resnet34"?
            "size": 32     | "size": 41     | recipe: preprocessing resizes to 40 and crops to 41
            "size": 32     | "sise": 32     | recipe: preprocess.size is missing; "sise" is not known, write "size"
            "fit": "stretch" | "fit": "pad" | recipe: preprocess.fit is "pad"; it is one of crop, stretch
            "flip": 0.5    | "flip": 5      | recipe: augmentation has flip 5.0; it is 0 to 1.0
            "flip": 0.5    | "flp": 0.5     | recipe: augment.flp is not known; did you mean "flip"?
            "uncertain": "ones" | "uncertain": "maybe" | recipe: uncertain is "maybe"; it is one of ignore, ones, zeros
            "labels": ["A", "B"] | "labels": [] | recipe: labels is []; name at least one
            "labels": ["A", "B"] | "labels": "A" | recipe: labels is "A"; it is a list of texts
            "seed": 77     | "seed": 77, "seed": 78 | recipe: no JSON: Duplicate
            "rank": 4      | "rank": 0      | recipe: lora.rank is 0; it is a whole number, 1 or more
            "attributes": {} | "attributes": {"x": "y"} | recipe: attributes.x is "y"; it is a whole number or a list of them
            """, quoteCharacter = '\u0001')
    void whatIsWrongIsNamed(String a, String b, String said) {
        assertTrue(ALL.contains(a), a);
        String message = assertThrows(IllegalArgumentException.class, () -> Recipe.fromJson(ALL.replace(a, b)))
                .getMessage();
        assertTrue(message.startsWith(said), message);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "[]", "3", "null", "{", "{\"model\": \"x\"} {}", "{\"model\": }"})
    void whatIsNoRecipeIsRefused(String text) {
        String message = assertThrows(IllegalArgumentException.class, () -> Recipe.fromJson(text)).getMessage();
        assertTrue(message.startsWith("recipe: "), message);
    }

    @Test
    void aPatternThatChoosesNothingIsFoundBeforeTraining() {
        Recipe r = Recipe.fromJson(ALL.replace("\"pattern\": \"fc\"", "\"pattern\": \"classifier\""));
        String message = assertThrows(IllegalArgumentException.class, r::build).getMessage();
        assertTrue(message.startsWith("parameter groups: 'classifier' fits no parameter of the model"), message);
    }

    @Test
    void aSubsetIsANumberOrAShare() {
        assertEquals(64, warm(64).films(878));
        assertEquals(50, warm(64).films(50));
        assertEquals(88, warm(0.1).films(878));
        assertEquals(1, warm(0.0001).films(878));
        assertEquals(1, warm(1).films(878));
    }

    private static Recipe.WarmStart warm(double subset) {
        return new Recipe.WarmStart(java.util.Optional.empty(), subset, 1, OptionalDouble.empty());
    }
}
