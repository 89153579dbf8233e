package isthmus.zoo;

import isthmus.nn.Init;
import isthmus.nn.Network;
import isthmus.nn.Scope;
import isthmus.op.MapLayout;
import isthmus.op.ShapeException;
import isthmus.op.Upsample;
import isthmus.op.Value;
import isthmus.op.Window;
import isthmus.tensor.Shape;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * RetinaNet (Lin et al. 2017, arXiv 1708.02002) for volumes: the first layers of a ResNet-50, a feature pyramid (Lin et al.
 * 2016, arXiv 1612.03144) with one pooled level more, and two heads that all levels share. The result joins all maps, each
 * flattened in the logical order: {@code [N, classification of each level, then box regression of each level]}. A level's
 * classification map has {@code anchors * classes} channels, its regression map {@code anchors * 2 * axes}. Names and shapes
 * as MONAI's.
 *
 * @param stride of the first convolution, one number an axis
 * @param layers which of the backbone's four layers the pyramid takes, ascending
 * @param blocks blocks of each of the four layers
 * @param width channels of the first layer before its fourfold expansion: 64 is ResNet-50
 * @param pyramid channels of the pyramid and the heads
 */
record RetinaNet3d(int classes, int anchors, List<Integer> stride, List<Integer> layers, List<Integer> blocks,
        int width,
        int pyramid) implements Network {
    private static final int EXPANSION = 4;
    private static final int GROUPS = 8;
    private static final int HEAD_DEPTH = 4;
    private static final float HEAD_DEVIATION = 0.01f;
    /** The chance that an untrained classification head gives an anchor (the paper's pi). */
    private static final double PRIOR = 0.01;

    RetinaNet3d {
        if (layers.isEmpty() || layers.getFirst() < 1 || layers.getLast() > blocks.size()
                || !layers.equals(layers.stream().sorted().distinct().toList()))
            throw new IllegalArgumentException(
                    "retinanet3d: returned_layers " + layers + "; choose from 1 to " + blocks.size() + ", ascending");
        if (pyramid % GROUPS != 0)
            throw new IllegalArgumentException(
                    "retinanet3d: the pyramid has " + pyramid + " channels; group norm wants a multiple of " + GROUPS);
    }

    static RetinaNet3d of(int classes, ModelOptions o) {
        return new RetinaNet3d(classes, o.number("anchors", 3), o.numbers("conv1_stride", List.of(2, 2, 1)),
                o.numbers("returned_layers", List.of(1, 2)), o.numbers("blocks", List.of(3, 4, 6, 3)),
                o.number("width", 64), o.number("pyramid", 256));
    }

    @Override
    public Value forward(Scope s, Value x) {
        if (x.shape().rank() != stride.size() + 2)
            throw new ShapeException("retinanet3d",
                    "the image is " + x.shape() + "; its axes do not fit conv1_stride " + stride);
        List<Value> levels = pyramid(s.at("feature_extractor").at("fpn"),
                body(s.at("feature_extractor").at("body"), x));
        Init bias = new Init.Constant((float) -Math.log((1 - PRIOR) / PRIOR));
        List<Value> maps = new ArrayList<>();
        for (Value level : levels)
            maps.add(head(s.at("classification_head"), level, "cls_logits", anchors * classes, bias));
        for (Value level : levels)
            maps.add(head(s.at("regression_head"), level, "bbox_reg", anchors * 2 * stride.size(), Init.zeros()));
        return s.concat(maps.toArray(Value[]::new));
    }

    @Override
    public Optional<MapLayout> maps(Shape image) {
        List<Integer> size = halved(IntStream.range(0, stride.size())
                .mapToObj(i -> Math.ceilDiv(image.dim(1 + i), stride.get(i))).toList());
        List<List<Integer>> levels = new ArrayList<>();
        for (int i = 1; i <= layers.getLast(); i++) {
            if (i > 1) size = halved(size);
            if (layers.contains(i)) levels.add(size);
        }
        levels.add(halved(size));
        return Optional.of(new MapLayout(levels, anchors, classes));
    }

    private static List<Integer> halved(List<Integer> size) {
        return size.stream().map(n -> Math.ceilDiv(n, 2)).toList();
    }

    /** The chosen layers' results, the largest first. */
    private List<Value> body(Scope s, Value x) {
        List<Integer> seven = Collections.nCopies(stride.size(), 7);
        List<Integer> three = Collections.nCopies(stride.size(), 3);
        List<Integer> one = Collections.nCopies(stride.size(), 1);
        x = s.relu(s.batchNorm("bn1", s.convHe("conv1", x, width, new Window(seven, stride, three, one))));
        x = s.maxPool(x, window(x, 3, 2));
        List<Value> chosen = new ArrayList<>();
        for (int i = 1; i <= layers.getLast(); i++) {
            for (int b = 0; b < blocks.get(i - 1); b++)
                x = block(s.at("layer" + i).at(b), x, width << (i - 1), b == 0 && i > 1 ? 2 : 1);
            if (layers.contains(i)) chosen.add(x);
        }
        return chosen;
    }

    private static Value block(Scope s, Value x, int channels, int stride) {
        int out = channels * EXPANSION;
        Value y = s.relu(s.batchNorm("bn1", s.convHe("conv1", x, channels, window(x, 1, 1))));
        y = s.relu(s.batchNorm("bn2", s.convHe("conv2", y, channels, window(x, 3, stride))));
        y = s.batchNorm("bn3", s.convHe("conv3", y, out, window(x, 1, 1)));
        Value identity = x;
        if (stride != 1 || x.shape().dim(1) != out) {
            Scope down = s.at("downsample");
            identity = down.batchNorm("1", down.convHeWithBias("0", x, out, window(x, 1, stride)));
        }
        return s.relu(s.add(y, identity));
    }

    /** From the deepest level upwards: each takes the one below, enlarged; last, the deepest once more at half its size. */
    private List<Value> pyramid(Scope s, List<Value> features) {
        List<Value> levels = new ArrayList<>();
        Value inner = null;
        for (int i = features.size() - 1; i >= 0; i--) {
            Value x = features.get(i);
            Value lateral = lateral(s.at("inner_blocks"), i, x, 1);
            inner = inner == null ? lateral : s.add(lateral, s.upsample(inner, lateral, Upsample.Mode.NEAREST));
            levels.addFirst(lateral(s.at("layer_blocks"), i, inner, 3));
        }
        Value deepest = levels.getLast();
        levels.add(s.maxPool(deepest, window(deepest, 1, 2)));
        return levels;
    }

    /** He et al. 2015, uniform, for a linear unit. */
    private Value lateral(Scope s, int i, Value x, int kernel) {
        Window window = window(x, kernel, 1);
        Init weight = new Init.Uniform((float) Math.sqrt(3.0 / ((double) x.shape().dim(1) * window.volume())));
        return s.conv(Integer.toString(i), x, pyramid, window, weight, Init.zeros());
    }

    /** Four convolutions with group norm and ReLU, then the map, flattened. */
    private static Value head(Scope s, Value x, String last, int channels, Init bias) {
        Init weight = new Init.Normal(HEAD_DEVIATION);
        Scope conv = s.at("conv");
        for (int i = 0; i < HEAD_DEPTH; i++) {
            Value y = conv.conv(Integer.toString(3 * i), x, x.shape().dim(1), window(x, 3, 1), weight, Init.zeros());
            x = conv.relu(conv.groupNorm(Integer.toString(3 * i + 1), y, GROUPS));
        }
        return s.flatten(s.logits(s.conv(last, x, channels, window(x, 3, 1), weight, bias)));
    }

    /** The same on every axis, padded so that stride alone shrinks. */
    private static Window window(Value x, int kernel, int stride) {
        return Window.of(x.shape().rank() - 2, kernel, stride, kernel / 2);
    }
}
