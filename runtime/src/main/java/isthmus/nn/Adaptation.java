package isthmus.nn;

import isthmus.tensor.Region;
import java.util.List;
import java.util.Optional;

/**
 * Which of a network's weights training changes. Frozen weights lie in {@link Region#FROZEN}: no gradient is computed for
 * them, the optimizer keeps nothing for them, and they do not travel. A normalisation whose scale and shift are both
 * frozen is frozen altogether: training, too, normalises with its running statistics and leaves them as they are, as
 * fine-tuning does (torchvision's FrozenBatchNorm2d), and they lie in FROZEN.
 *
 * @param frozen {@linkplain NamePattern patterns} of parameters that stay as they are
 * @param trainable if not empty, only these are trained; with LoRA these, beside the adapters
 * @param lora adapters; all else is frozen then, but for {@code trainable}
 */
public record Adaptation(List<String> frozen, List<String> trainable, Optional<Lora> lora) {
    /** Everything is trained. */
    public static final Adaptation NONE = new Adaptation(List.of(), List.of(), Optional.empty());

    public Adaptation {
        frozen = List.copyOf(frozen);
        trainable = List.copyOf(trainable);
        frozen.forEach(NamePattern::new);
        trainable.forEach(NamePattern::new);
    }

    /** Adapters only. */
    public static Adaptation lora(Lora lora) {
        return new Adaptation(List.of(), List.of(), Optional.of(lora));
    }

    /** Only these are trained. */
    public static Adaptation only(String... patterns) {
        return new Adaptation(List.of(), List.of(patterns), Optional.empty());
    }

    /** All but these are trained. */
    public static Adaptation frozen(String... patterns) {
        return new Adaptation(List.of(patterns), List.of(), Optional.empty());
    }

    /** Whether training changes a parameter of the network itself; adapters are always trained. */
    public boolean trains(String parameter) {
        if (fits(frozen, parameter)) return false;
        if (trainable.isEmpty()) return lora.isEmpty();
        return fits(trainable, parameter);
    }

    /** The adapter's settings for a layer, if it gets one. */
    Optional<Lora> lora(String layer) {
        return lora.filter(l -> l.adapts(layer));
    }

    private static boolean fits(List<String> patterns, String name) {
        return patterns.stream().anyMatch(p -> new NamePattern(p).fits(name));
    }

    /** Throws if a pattern chooses nothing: it is most likely misspelt. */
    void check(Iterable<String> parameters, Iterable<String> layers) {
        requireHit("frozen", frozen, parameters);
        requireHit("trainable", trainable, parameters);
        lora.ifPresent(l -> requireHit("lora layers", l.layers(), layers));
    }

    private static void requireHit(String what, List<String> patterns, Iterable<String> names) {
        for (String p : patterns) {
            boolean hit = false;
            for (String n : names)
                hit |= new NamePattern(p).fits(n);
            if (!hit) throw NamePattern.nothing(what, p, names);
        }
    }
}
