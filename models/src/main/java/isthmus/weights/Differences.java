package isthmus.weights;

import isthmus.nn.Model;
import isthmus.op.ShapeException;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightTable;
import isthmus.zoo.ModelOptions;
import isthmus.zoo.Zoo;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/** What keeps a checkpoint and a model apart, beside what import may adapt or drop. */
final class Differences {
    private static final int SHOWN = 5;

    private final Target target;
    private final Map<String, StoredTensor> stored;

    Differences(Target target, Map<String, StoredTensor> stored) {
        this.target = target;
        this.stored = stored;
    }

    /**
     * First what the model lacks in the file or finds in another shape or type, then what it has no place for; empty if the
     * body fits. Modules that the model does not have at all, as another head, may be left out of a file that fits.
     */
    List<Difference> all() {
        List<Difference> all = new ArrayList<>();
        for (WeightTable.Entry e : target.model().table().entries()) {
            StoredTensor t = stored.get(e.name());
            if (target.classifier().contains(e.name()) && (t == null || mayBeDropped(t.shape(), e.shape()))) continue;
            if (t == null) all.add(new Difference(e.name(), e.shape().toString(), null));
            else if (!t.isFloat()) all.add(new Difference(e.name(), e.shape().toString(), t.shape() + " " + t.type()));
            else if (!t.shape().equals(e.shape())
                    && !(target.stem().contains(e.name()) && StemAdapter.canAdapt(t.shape(), e.shape())))
                all.add(new Difference(e.name(), e.shape().toString(), t.shape().toString()));
        }
        List<StoredTensor> unknown = stored.values().stream()
                .filter(t -> !target.model().table().has(t.name()) && !isCounter(t)).toList();
        boolean fits = all.isEmpty() && unknown.stream()
                .noneMatch(t -> !target.isOfClassifier(t.name()) && target.hasModuleOf(t.name()));
        if (!fits) unknown.forEach(t -> all.add(new Difference(t.name(), null, t.shape().toString())));
        return all;
    }

    private static boolean mayBeDropped(Shape file, Shape model) {
        return file.rank() == model.rank() && file.with(0, 1).equals(model.with(0, 1)) && !file.equals(model);
    }

    /** PyTorch's batch norm counts its batches; that changes nothing here. */
    static boolean isCounter(StoredTensor t) {
        return t.name().endsWith("num_batches_tracked");
    }

    static String text(Checkpoint from, WeightImport.Request request, Target target, List<Difference> differences) {
        StringBuilder text = new StringBuilder(from.source() + ": not the weights of " + request.model() + " (image "
                + target.model().image() + ", " + target.model().table().entries().size() + " tensors): "
                + differences.size()
                + (differences.size() == 1 ? " tensor differs\n" : " tensors differ, the first are\n"));
        List<Difference> missing = differences.stream().filter(d -> d.inModel() != null).toList();
        List<Difference> unexpected = differences.stream().filter(d -> d.inModel() == null).toList();
        for (List<Difference> side : List.of(missing, unexpected))
            side.stream().limit(SHOWN).forEach(d -> text.append(d).append('\n'));
        return text + hint(from, request, differences) + "; nothing was written";
    }

    /** The model that most of the file's names belong to, if that is another one. */
    private static String hint(Checkpoint from, WeightImport.Request request, List<Difference> differences) {
        if (from.tensors().stream().filter(t -> t.name().startsWith("onnx::")).count() * 4 > from.tensors().size())
            return "The program that exported it renamed or folded weights: bring the PyTorch state_dict itself, or export "
                    + "with do_constant_folding=False and training=TrainingMode.PRESERVE";
        String best = null;
        double most = 0.5;
        for (String name : Zoo.names()) {
            double share = share(from, request, name);
            if (share > most) {
                most = share;
                best = name;
            }
        }
        if (best == null) return "The file fits no model of the catalogue";
        if (!best.equals(request.model())) return "The names look like " + best + "'s: try --model " + best;
        return differences.stream().allMatch(d -> d.inModel() != null && d.inFile() != null)
                ? "All names fit: check --size, --channels and the network's own options (--set)"
                : "It may be a smaller or larger network of the same kind";
    }

    /** Of a model's names and the file's, how many they have in common, as a share of all. */
    private static double share(Checkpoint from, WeightImport.Request request, String name) {
        Model model;
        try {
            model = Zoo.model(name, request.image(1), 1, ModelOptions.DEFAULT);
        } catch (IllegalArgumentException | ShapeException e) {
            return 0; // a network for images of another number of axes
        }
        Set<String> ours = model.table().entries().stream().map(WeightTable.Entry::name).collect(Collectors.toSet());
        Set<String> theirs = NameMap.apply(from, ours, new ArrayList<>()).stream().filter(t -> !isCounter(t))
                .map(StoredTensor::name).collect(Collectors.toSet());
        Set<String> both = new HashSet<>(ours);
        both.retainAll(theirs);
        ours.addAll(theirs);
        return both.size() / (double) ours.size();
    }
}
