package isthmus.weights;

import isthmus.nn.Model;
import isthmus.tensor.HostMath;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import isthmus.tensor.WeightTable;
import isthmus.zoo.ModelOptions;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Brings a checkpoint's tensors into a model of the catalogue. The network's body must fit, name by name and shape by shape;
 * what may differ is the number of channels, 1 or 3, and the classifier, which then starts anew.
 */
public final class WeightImport {
    /**
     * What is wanted.
     *
     * @param model name in the catalogue
     * @param size of one image without its channels, {@code [H,W]} or {@code [D,H,W]}
     * @param channels of one image; empty for as many as the checkpoint has
     * @param classes number of outputs; empty for as many as the checkpoint has
     * @param seed of the initial values of what the checkpoint has not
     */
    public record Request(String model, ModelOptions options, Shape size, OptionalInt channels, OptionalInt classes,
            long seed) {
        Shape image(int channels) {
            int[] dims = new int[size.rank() + 1];
            dims[0] = channels;
            System.arraycopy(size.dims(), 0, dims, 1, size.rank());
            return Shape.of(dims);
        }
    }

    /** The model, its weights (they live as long as the arena), and what became of the checkpoint's tensors. */
    public record Imported(Model model, int classes, WeightBuffer weights, ImportReport report) {}

    private static final int RGB = 3;

    private final Checkpoint from;
    private final Request request;
    private final List<String> notes;
    private final Map<String, StoredTensor> stored = new LinkedHashMap<>();
    private final Target target;

    private WeightImport(Checkpoint from, Request request) {
        this.from = from;
        this.request = request;
        this.notes = new ArrayList<>(from.notes());
        Target one = Target.of(request.model, request.image(RGB), 1, request.options);
        Set<String> names = one.model().table().entries().stream().map(WeightTable.Entry::name)
                .collect(Collectors.toCollection(LinkedHashSet::new));
        NameMap.apply(from, names, notes).forEach(t -> stored.put(t.name(), t));
        int channels = request.channels.orElseGet(() -> channels(one));
        int classes = request.classes.orElseGet(() -> classes(one));
        this.target = Target.of(request.model, request.image(channels), Math.max(1, classes), request.options);
        List<Difference> differences = new Differences(target, stored).all();
        if (!differences.isEmpty()) throw new CheckpointException(Differences.text(from, request, target, differences));
        if (classes == 0)
            throw new CheckpointException(from.source() + ": has no classifier to take the number of classes from; "
                    + "give --classes or --labels");
    }

    /**
     * Imports.
     *
     * @throws CheckpointException if the checkpoint is another model's: it lists the first differences
     */
    public static Imported run(Checkpoint from, Request request, Arena arena) {
        return new WeightImport(from, request).imported(arena);
    }

    /** As the file's own first convolution has it, else 3. */
    private int channels(Target one) {
        for (String name : one.stem()) {
            StoredTensor t = stored.get(name);
            if (t != null && t.shape().rank() == one.model().table().entry(name).shape().rank() && t.shape().rank() > 2
                    && t.shape().dim(1) > 0)
                return t.shape().dim(1);
        }
        return RGB;
    }

    /** As the file's own classifier has it, else 0. */
    private int classes(Target one) {
        WeightTable two = Target.of(request.model, request.image(RGB), 2, request.options).model().table();
        for (String name : one.classifier()) {
            StoredTensor t = stored.get(name);
            int each = two.entry(name).shape().dim(0) - one.model().table().entry(name).shape().dim(0);
            if (t != null && t.shape().rank() == two.entry(name).shape().rank() && t.shape().dim(0) % each == 0)
                return t.shape().dim(0) / each;
        }
        return 0;
    }

    private Imported imported(Arena arena) {
        WeightTable table = target.model().table();
        WeightBuffer weights = WeightBuffer.allocate(table, arena);
        target.model().initialize(weights, request.seed);
        List<ImportReport.Adapted> adapted = new ArrayList<>();
        List<ImportReport.Missing> missing = new ArrayList<>();
        List<ImportReport.Dropped> dropped = new ArrayList<>();
        boolean classifierFits = target.classifier().stream().allMatch(n -> fits(table.entry(n)));
        int matched = 0;
        for (WeightTable.Entry e : table.entries()) {
            StoredTensor t = stored.get(e.name());
            if (target.classifier().contains(e.name()) && !classifierFits) {
                missing.add(new ImportReport.Missing(e.name(), e.shape().toString(), "starts with initial values"));
                if (t != null)
                    dropped.add(new ImportReport.Dropped(t.name(), t.shape().toString(), "of another classifier"));
            } else if (fits(e)) {
                copy(t, weights, e);
                matched++;
            } else {
                adapted.add(StemAdapter.adapt(t, weights, e));
            }
            finite(weights, e);
        }
        return new Imported(target.model(), target.classes(), weights, report(matched, adapted, dropped, missing));
    }

    private boolean fits(WeightTable.Entry e) {
        StoredTensor t = stored.get(e.name());
        return t != null && t.shape().equals(e.shape());
    }

    private void copy(StoredTensor t, WeightBuffer weights, WeightTable.Entry e) { t.copyTo(weights.slice(e)); }

    private void finite(WeightBuffer weights, WeightTable.Entry e) {
        long broken = HostMath.countNonFinite(weights.slice(e), e.elements());
        if (broken > 0)
            throw new CheckpointException(from.source() + ": " + broken + " of " + e.elements() + " values of "
                    + e.name()
                    + " are not finite in float32; the training that made it may have diverged: take an earlier checkpoint");
    }

    private ImportReport report(int matched, List<ImportReport.Adapted> adapted, List<ImportReport.Dropped> dropped,
            List<ImportReport.Missing> missing) {
        int ignored = 0;
        for (StoredTensor t : stored.values()) {
            if (target.model().table().has(t.name())) continue;
            if (Differences.isCounter(t)) ignored++;
            else
                dropped.add(new ImportReport.Dropped(Words.safe(t.name()), t.shape().toString(), "not of this model"));
        }
        return new ImportReport(matched, adapted, dropped, missing, ignored, notes);
    }
}
