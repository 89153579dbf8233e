package isthmus.zoo;

import isthmus.nn.Init;
import isthmus.nn.Network;
import isthmus.nn.Scope;
import isthmus.op.Value;
import isthmus.op.Window;
import isthmus.tensor.Shape;
import java.util.List;

/**
 * EfficientNet-B0 (Tan and Le 2019, arXiv 1905.11946), names and shapes as torchvision's {@code efficientnet_b0}.
 *
 * @param dropout before the classifier; the paper has 0.2
 * @param stochasticDepth probability that the last block's branch is left out, growing from 0 at the first; the paper's
 *     code has 0.2
 */
record EfficientNetB0(int classes, float dropout, float stochasticDepth) implements Network {
    /** Inverted bottlenecks of one width; the first of them has the stride. */
    private record Stage(int expansion, int kernel, int stride, int channels, int blocks) {}

    private static final List<Stage> STAGES = List.of(new Stage(1, 3, 1, 16, 1), new Stage(6, 3, 2, 24, 2),
            new Stage(6, 5, 2, 40, 2), new Stage(6, 3, 2, 80, 3), new Stage(6, 5, 1, 112, 3),
            new Stage(6, 5, 2, 192, 4),
            new Stage(6, 3, 1, 320, 1));
    private static final Window POINT = Window.of(2, 1, 1, 0);

    @Override
    public Value forward(Scope s, Value x) {
        Scope f = s.at("features");
        Scope stem = f.at(0);
        x = stem.silu(stem.batchNorm("1", stem.convHe("0", x, 32, Window.of(2, 3, 2, 1))));
        int all = STAGES.stream().mapToInt(Stage::blocks).sum();
        int done = 0;
        for (int i = 0; i < STAGES.size(); i++) {
            Stage stage = STAGES.get(i);
            for (int j = 0; j < stage.blocks; j++)
                x = block(f.at(1 + i).at(j), x, stage, j == 0 ? stage.stride : 1, stochasticDepth * done++ / all);
        }
        Scope top = f.at(1 + STAGES.size());
        x = top.silu(top.batchNorm("1", top.convHe("0", x, 1280, POINT)));
        return s.at("classifier").logits("1", s.dropout(s.globalAvgPool(x), dropout), classes);
    }

    /** Widen, convolve each channel by itself, weigh the channels, narrow; and a way around where shapes allow it. */
    private static Value block(Scope s, Value x, Stage stage, int stride, float dropped) {
        Scope b = s.at("block");
        int in = x.shape().dim(1);
        int layer = 0;
        Value y = x;
        if (stage.expansion > 1) {
            Scope widen = b.at(layer++);
            y = widen.silu(widen.batchNorm("1", widen.convHe("0", y, in * stage.expansion, POINT)));
        }
        Scope depthwise = b.at(layer++);
        Window window = Window.of(2, stage.kernel, stride, stage.kernel / 2);
        y = depthwise.silu(depthwise.batchNorm("1", depthwise.depthwiseHe("0", y, window)));
        y = squeezeExcite(b.at(layer++), y, in / 4);
        Scope narrow = b.at(layer);
        y = narrow.batchNorm("1", narrow.convHe("0", y, stage.channels, POINT));
        return stride == 1 && in == stage.channels ? s.add(s.stochasticDepth(y, dropped), x) : y;
    }

    private static Value squeezeExcite(Scope s, Value x, int squeezed) {
        Value y = s.silu(point(s, "fc1", s.channelMeans(x), squeezed));
        return s.scale(x, s.sigmoid(point(s, "fc2", y, x.shape().dim(1))));
    }

    private static Value point(Scope s, String name, Value x, int out) {
        Init weight = Init.heFanOut(Shape.of(out, x.shape().dim(1), 1, 1));
        return s.conv(name, x, out, POINT, weight, Init.zeros());
    }
}
