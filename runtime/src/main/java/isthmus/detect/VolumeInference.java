package isthmus.detect;

import isthmus.backend.Backend;
import isthmus.backend.Precision;
import isthmus.nn.Model;
import isthmus.tensor.Shape;
import isthmus.tensor.WeightBuffer;
import isthmus.train.Evaluator;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Runs a model over volumes of any size, window by window: segmentation blends the windows' logits with Gaussian weights,
 * detection joins the windows' boxes and suppresses the doubles. Volumes are float32, channels-last, off the heap.
 */
public final class VolumeInference implements AutoCloseable {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT;

    private final Model model;
    private final Evaluator evaluator;
    private final int batch;
    private final double overlap;
    private final List<Integer> window;

    /**
     * Compiles the model for windows of its image's size.
     *
     * @param batch windows that are computed at a time
     * @param overlap of neighbouring windows, as a share of their length
     */
    public VolumeInference(Model model, WeightBuffer weights, int batch, double overlap, Precision precision,
            Backend backend) {
        this.model = model;
        this.batch = batch;
        this.overlap = overlap;
        this.window = spatial(model.image());
        this.evaluator = new Evaluator(model, weights, batch, precision, backend);
    }

    private static List<Integer> spatial(Shape image) {
        return IntStream.range(1, image.rank()).mapToObj(image::dim).toList();
    }

    private interface Reader {
        /** Takes the logits of the window that is {@code index}-th of all and {@code row}-th of its batch. */
        void read(int index, int row);
    }

    /**
     * Logits at every position of a volume.
     *
     * @param volume {@code [D,H,W,C]} (or {@code [H,W,C]}), float32
     * @param lengths its spatial lengths
     * @param logits {@code [D,H,W,classes]}, float32, to be written
     */
    public void segment(MemorySegment volume, List<Integer> lengths, MemorySegment logits) {
        Shape output = model.output();
        if (output.rank() != window.size() + 1)
            throw new IllegalArgumentException(
                    "segmentation: model " + model.name() + " gives " + output + ", not logits at every position");
        SlidingWindow windows = new SlidingWindow(lengths, window, overlap);
        int classes = output.dim(0);
        long positions = elements(lengths);
        requireBytes("logits", logits, positions * classes);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment weights = arena.allocate(positions * Float.BYTES, Float.BYTES);
            logits.asSlice(0, positions * classes * Float.BYTES).fill((byte) 0);
            float[] gaussian = windows.gaussian();
            run(volume, lengths, windows, (index, row) -> {
                long first = row * elements(window);
                new Rows(windows, index).each((inWindow, inVolume, n) -> blend(logits, weights, gaussian,
                        first, inWindow, inVolume, n, classes));
            });
            for (long i = 0; i < positions * classes; i++)
                logits.setAtIndex(F32, i, logits.getAtIndex(F32, i) / weights.getAtIndex(F32, i / classes));
        }
    }

    private void blend(MemorySegment logits, MemorySegment weights, float[] gaussian, long first, long inWindow,
            long inVolume, int n, int classes) {
        MemorySegment part = evaluator.logits();
        for (int i = 0; i < n; i++) {
            float w = gaussian[Math.toIntExact(inWindow + i)];
            long to = inVolume + i;
            weights.setAtIndex(F32, to, weights.getAtIndex(F32, to) + w);
            for (int c = 0; c < classes; c++) {
                float v = part.getAtIndex(F32, (first + inWindow + i) * classes + c);
                logits.setAtIndex(F32, to * classes + c, logits.getAtIndex(F32, to * classes + c) + w * v);
            }
        }
    }

    /**
     * The objects in a volume, best first.
     *
     * @param volume {@code [D,H,W,C]}, float32
     * @param lengths its spatial lengths
     */
    public void detect(MemorySegment volume, List<Integer> lengths, Detector detector, Detections found) {
        found.clear();
        SlidingWindow windows = new SlidingWindow(lengths, window, overlap);
        int[] image = windows.volume();
        run(volume, lengths, windows, (index, row) -> {
            int[] origin = IntStream.range(0, image.length).map(k -> windows.start(index, k)).toArray();
            detector.add(evaluator.logits(), row, new Detector.Frame(origin, image), found);
        });
        detector.suppress(found);
    }

    /** Computes all windows, batch by batch. */
    private void run(MemorySegment volume, List<Integer> lengths, SlidingWindow windows, Reader reader) {
        int channels = model.image().dim(0);
        requireBytes("volume", volume, elements(lengths) * channels);
        MemorySegment images = evaluator.images();
        long bytes = elements(window) * channels * Float.BYTES;
        for (int first = 0; first < windows.count(); first += batch) {
            int n = Math.min(batch, windows.count() - first);
            images.fill((byte) 0);
            for (int row = 0; row < n; row++) {
                MemorySegment to = images.asSlice(row * bytes, bytes);
                long each = (long) channels * Float.BYTES;
                new Rows(windows, first + row).each((inWindow, inVolume, length) -> MemorySegment.copy(volume,
                        inVolume * each, to, inWindow * each, length * each));
            }
            evaluator.run();
            for (int row = 0; row < n; row++)
                reader.read(first + row, row);
        }
    }

    private static long elements(List<Integer> lengths) {
        return lengths.stream().mapToLong(Integer::longValue).reduce(1, (a, b) -> a * b);
    }

    private static void requireBytes(String what, MemorySegment segment, long floats) {
        if (segment.byteSize() < floats * Float.BYTES)
            throw new IllegalArgumentException("volume inference: the " + what + " has " + segment.byteSize()
                    + " bytes; " + floats + " float32 values need " + floats * Float.BYTES);
    }

    @Override
    public void close() { evaluator.close(); }

    /** The stretches along the last axis that a window and the volume have in common. */
    private static final class Rows {
        private final int[] volume;
        private final int[] window;
        private final int[] start;

        Rows(SlidingWindow windows, int index) {
            this.volume = windows.volume();
            this.window = windows.window();
            this.start = IntStream.range(0, window.length).map(k -> windows.start(index, k)).toArray();
        }

        /** Receives flat positions of a stretch's begin in the window and in the volume, and its length. */
        interface Visitor {
            void visit(long inWindow, long inVolume, int length);
        }

        void each(Visitor visitor) { each(0, 0, 0, visitor); }

        private void each(int axis, long inWindow, long inVolume, Visitor visitor) {
            int from = Math.max(0, -start[axis]);
            int to = Math.min(window[axis], volume[axis] - start[axis]);
            if (axis == window.length - 1) {
                visitor.visit(inWindow * window[axis] + from, inVolume * volume[axis] + start[axis] + from, to - from);
                return;
            }
            for (int i = from; i < to; i++)
                each(axis + 1, inWindow * window[axis] + i, inVolume * volume[axis] + start[axis] + i, visitor);
        }
    }
}
