package isthmus.weights;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * From a checkpoint's names to a model's, which are torchvision's and MONAI's own: older spellings are renewed, and what
 * programs put in front of all names ({@code module.}, {@code model.}) is taken off.
 */
final class NameMap {
    private static final int MAX_PREFIX_PARTS = 4;

    /** An older or another spelling. */
    private record Spelling(Pattern from, String to, String whose) {}

    private static final List<Spelling> SPELLINGS = List.of(
            new Spelling(Pattern.compile("(denselayer\\d+\\.(?:norm|conv))\\.([12]\\.)"), "$1$2",
                    "torchvision's of 2017, as in norm.1 for norm1"),
            new Spelling(Pattern.compile("(denselayer\\d+\\.)layers\\."), "$1", "MONAI's DenseNet's"),
            new Spelling(Pattern.compile("class_layers\\.out\\."), "classifier.", "MONAI's DenseNet's"));

    private final Set<String> wanted;
    private final List<String> notes;

    private NameMap(Set<String> wanted, List<String> notes) {
        this.wanted = wanted;
        this.notes = notes;
    }

    /** The tensors under the model's names as far as they have one; says in {@code notes} what was changed. */
    static List<StoredTensor> apply(Checkpoint from, Set<String> wanted, List<String> notes) {
        NameMap map = new NameMap(wanted, notes);
        List<StoredTensor> renamed = map.unprefixed(map.respelled(from.tensors()));
        Set<String> seen = new HashSet<>();
        for (StoredTensor t : renamed)
            if (!seen.add(t.name()))
                throw new CheckpointException(from.source() + ": two tensors would be called " + Words.safe(t.name())
                        + " after " + notes + "; save one model's weights alone");
        return renamed;
    }

    private List<StoredTensor> respelled(List<StoredTensor> tensors) {
        Map<String, Integer> count = new HashMap<>();
        List<StoredTensor> renamed = new ArrayList<>();
        for (StoredTensor t : tensors) {
            String name = t.name();
            for (Spelling s : SPELLINGS) {
                if (wanted.contains(name)) break;
                String next = s.from.matcher(name).replaceFirst(s.to);
                if (!next.equals(name)) count.merge(s.whose, 1, Integer::sum);
                name = next;
            }
            renamed.add(t.named(name));
        }
        count.forEach((whose, n) -> notes.add("renewed " + n + " names, " + whose));
        return renamed;
    }

    /** Takes off the prefix that makes most names the model's, if without it most are not. */
    private List<StoredTensor> unprefixed(List<StoredTensor> tensors) {
        Map<String, Integer> hits = new HashMap<>();
        for (StoredTensor t : tensors) {
            String rest = t.name();
            for (int parts = 0; parts <= MAX_PREFIX_PARTS && !rest.isEmpty(); parts++) {
                if (wanted.contains(rest))
                    hits.merge(t.name().substring(0, t.name().length() - rest.length()), 1, Integer::sum);
                int dot = rest.indexOf('.');
                rest = dot < 0 ? "" : rest.substring(dot + 1);
            }
        }
        String best = "";
        for (Map.Entry<String, Integer> e : hits.entrySet())
            if (e.getValue() > hits.getOrDefault(best, 0)) best = e.getKey();
        if (best.isEmpty() || hits.get(best) * 2 < wanted.size()) return tensors;
        String prefix = best;
        long n = tensors.stream().filter(t -> t.name().startsWith(prefix)).count();
        notes.add("took '" + Words.safe(prefix) + "' off " + n + " names");
        return tensors.stream().map(t -> t.name().startsWith(prefix) ? t.named(t.name().substring(prefix.length())) : t)
                .toList();
    }
}
