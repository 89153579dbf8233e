package isthmus.detect;

import isthmus.nn.Model;
import isthmus.op.DetectionLoss;
import isthmus.op.MapLayout;
import isthmus.train.Loss;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.stream.IntStream;

/**
 * A network that gives joined maps, and what makes boxes of them: the loss it is trained with, the targets of a step, and the
 * boxes that its maps hold. Nothing here allocates from step to step. Used by one thread.
 */
public final class Detector {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT;

    private final DetectionSettings settings;
    private final MapLayout layout;
    private final Anchors anchors;
    private final AtssMatcher matcher;
    private final DetectionLoss loss;
    private final int codes;
    private final float[] anchor;
    private final float[] code;
    private final float[] box;
    private final float[] score;
    private final int[] entry;

    /** A detector; the settings' anchors must fit the model's maps. */
    public Detector(Model model, DetectionSettings settings) {
        this.settings = settings;
        this.layout = model.maps().orElseThrow(() -> new IllegalArgumentException(
                "model " + model.name() + " gives no maps of boxes; a detector needs one that does"));
        List<Integer> image = IntStream.range(1, model.image().rank()).mapToObj(model.image()::dim).toList();
        this.anchors = new Anchors(layout, image, settings.anchors());
        this.matcher = new AtssMatcher(anchors, settings.candidates(), settings.centreInBox());
        int most = settings.mostBoxes() * layout.levels().size() * settings.candidates() * layout.anchors();
        this.loss = new DetectionLoss(layout, Math.min(most, layout.total()), settings.sampling(), settings.beta(),
                settings.classWeight(), settings.boxWeight());
        this.codes = layout.codes();
        if (settings.coder().weights().size() != codes)
            throw new IllegalArgumentException("detector: the box coder has " + settings.coder().weights().size()
                    + " weights, boxes have " + codes + " codes");
        this.anchor = new float[codes];
        this.code = new float[codes];
        this.box = new float[codes];
        this.score = new float[settings.selection().perLevel()];
        this.entry = new int[settings.selection().perLevel()];
    }

    /** The anchors of the model's images. */
    public Anchors anchors() { return anchors; }

    /** What the model is trained with; its labels are written by {@link #targets}. */
    public Loss loss() {
        return new Loss.Detection(loss);
    }

    /**
     * Writes what a sample's maps should say, for the loss.
     *
     * @param labels the loss's labels of the whole batch
     * @param sample the sample's place in the batch
     * @param boxes of each object the low corner, then the high one, in voxels
     * @param classes kinds of the objects, from 0
     * @return how many anchors are matched
     */
    public int targets(MemorySegment labels, int sample, float[] boxes, int[] classes, int count) {
        if (count > settings.mostBoxes())
            throw new IllegalArgumentException("detector: " + count + " boxes in an image; the settings say at most "
                    + settings.mostBoxes());
        for (int i = 0; i < count; i++)
            if (classes[i] < 0 || classes[i] >= layout.classes())
                throw new IllegalArgumentException("detector: box " + i + " is of class " + classes[i]
                        + "; there are classes 0 to " + (layout.classes() - 1));
        int matched = matcher.match(boxes, count);
        long at = (long) sample * loss.capacity() * loss.rowLength();
        for (int i = 0; i < matched; i++, at += loss.rowLength()) {
            anchors.box(matcher.anchor(i), anchor, 0);
            settings.coder().encode(boxes, matcher.box(i) * codes, anchor, 0, code, 0);
            labels.setAtIndex(F32, at, matcher.anchor(i));
            labels.setAtIndex(F32, at + 1, classes[matcher.box(i)]);
            for (int j = 0; j < codes; j++)
                labels.setAtIndex(F32, at + 2 + j, code[j]);
        }
        if (matched < loss.capacity()) labels.setAtIndex(F32, at, -1);
        return matched;
    }

    /** The boxes that a sample's maps hold, best first. */
    public void decode(MemorySegment maps, int sample, Detections to) {
        to.clear();
        add(maps, sample, new Frame(new int[layout.axes()], anchors.image().stream().mapToInt(n -> n).toArray()), to);
        to.suppress(settings.selection().overlap(), settings.selection().perImage());
    }

    /**
     * Where a sample lies in a larger image.
     *
     * @param origin its first voxel
     * @param image lengths of the larger image
     */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    record Frame(int[] origin, int[] image) {}

    /** Adds the boxes of a sample, before suppression. */
    void add(MemorySegment maps, int sample, Frame frame, Detections to) {
        for (int level = 0; level < layout.levels().size(); level++) {
            int found = best(maps, (long) sample * layout.length(), level);
            for (int i = 0; i < found; i++)
                addOne(maps, sample, level, i, frame, to);
        }
    }

    void suppress(Detections boxes) { boxes.suppress(settings.selection().overlap(), settings.selection().perImage()); }

    private void addOne(MemorySegment maps, int sample, int level, int i, Frame frame, Detections to) {
        int number = layout.firstAnchor(level) + entry[i] / layout.classes();
        long at = (long) sample * layout.length() + layout.codeAt(number);
        for (int j = 0; j < codes; j++)
            code[j] = maps.getAtIndex(F32, at + (long) j * layout.positions(level));
        anchors.box(number, anchor, 0);
        settings.coder().decode(code, 0, anchor, 0, box, 0);
        int axes = layout.axes();
        for (int k = 0; k < axes; k++) {
            box[k] = Math.clamp(box[k] + frame.origin[k], 0f, frame.image[k]);
            box[axes + k] = Math.clamp(box[axes + k] + frame.origin[k], 0f, frame.image[k]);
            if (!(box[axes + k] >= box[k] + 1)) return;
        }
        to.add(box, 0, score[i], entry[i] % layout.classes());
    }

    /** The level's best entries (anchor in the level times classes, plus class), of equal scores the first ones. */
    private int best(MemorySegment maps, long first, int level) {
        int positions = layout.positions(level);
        int classes = layout.classes();
        long start = first + layout.classAt(layout.firstAnchor(level));
        float least = settings.selection().score();
        // Few logits are worth an exponential: below this one none can reach the score.
        float logit = (float) Math.log(least / (1 - least)) - 1e-3f;
        int size = 0;
        for (int p = 0; p < positions; p++) {
            for (int c = 0; c < layout.anchors() * classes; c++) {
                float x = maps.getAtIndex(F32, start + (long) c * positions + p);
                if (x < logit) continue;
                float s = (float) (1 / (1 + Math.exp(-x)));
                if (s > least) size = insert(size, s, p * layout.anchors() * classes + c);
            }
        }
        return size;
    }

    /** Keeps the best in order. They come by entry, so that an equal score goes behind. */
    private int insert(int size, float s, int number) {
        if (size == score.length && s <= score[size - 1]) return size;
        int low = 0;
        int high = size;
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (score[middle] >= s) low = middle + 1;
            else
                high = middle;
        }
        int end = Math.min(size, score.length - 1);
        System.arraycopy(score, low, score, low + 1, end - low);
        System.arraycopy(entry, low, entry, low + 1, end - low);
        score[low] = s;
        entry[low] = number;
        return end + 1;
    }
}
