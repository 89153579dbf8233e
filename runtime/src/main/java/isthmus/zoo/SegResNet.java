package isthmus.zoo;

import isthmus.nn.Network;
import isthmus.nn.Scope;
import isthmus.op.ShapeException;
import isthmus.op.Upsample;
import isthmus.op.Value;
import isthmus.op.Window;
import java.util.ArrayList;
import java.util.List;

/**
 * SegResNet (Myronenko 2018, arXiv 1810.11654, without its autoencoder branch): an encoder that halves and doubles its
 * channels level by level, a smaller decoder with sums across, group norm before every convolution; logits at every
 * position. Names and shapes as MONAI's; pictures or volumes.
 *
 * @param filters channels of the first level, a multiple of 8
 * @param down residual blocks of each level of the encoder
 * @param up residual blocks of each level of the decoder, the deepest first
 */
record SegResNet(int classes, int filters, List<Integer> down, List<Integer> up) implements Network {
    private static final int GROUPS = 8;

    SegResNet {
        if (filters < GROUPS || filters % GROUPS != 0)
            throw new IllegalArgumentException(
                    "segresnet: init_filters is " + filters + "; group norm wants a multiple of " + GROUPS);
        if (up.size() != down.size() - 1)
            throw new IllegalArgumentException("segresnet: blocks_up " + up + " has " + up.size()
                    + " levels; below blocks_down " + down + " there are " + (down.size() - 1));
    }

    static SegResNet of(int classes, ModelOptions o) {
        return new SegResNet(classes, o.number("init_filters", 16), o.numbers("blocks_down", List.of(1, 2, 2, 4)),
                o.numbers("blocks_up", List.of(1, 1, 1)));
    }

    @Override
    public Value forward(Scope s, Value x) {
        checkSize(x);
        List<Value> skips = new ArrayList<>();
        x = conv3(s.at("convInit"), x, filters, 1);
        for (int i = 0; i < down.size(); i++) {
            Scope level = s.at("down_layers").at(i);
            if (i > 0) x = conv3(level.at(0), x, filters << i, 2);
            for (int b = 1; b <= down.get(i); b++)
                x = block(level.at(b), x);
            skips.add(x);
        }
        for (int i = 0; i < up.size(); i++) {
            Value skip = skips.get(up.size() - 1 - i);
            Scope sample = s.at("up_samples").at(i);
            x = conv1(sample.at(0), x, skip.shape().dim(1), false);
            x = sample.add(sample.upsample(x, skip, Upsample.Mode.LINEAR), skip);
            for (int b = 0; b < up.get(i); b++)
                x = block(s.at("up_layers").at(i).at(b), x);
        }
        Scope last = s.at("conv_final");
        return last.logits(conv1(last.at(2), last.relu(last.groupNorm("0", x, GROUPS)), classes, true));
    }

    private void checkSize(Value x) {
        int multiple = 1 << (down.size() - 1);
        for (int i = 2; i < x.shape().rank(); i++) {
            if (x.shape().dim(i) % multiple != 0)
                throw new ShapeException("segresnet", "the image is " + x.shape() + "; with " + down.size()
                        + " levels its lengths must be multiples of " + multiple + ": pad or crop it");
        }
    }

    private static Value block(Scope s, Value x) {
        int channels = x.shape().dim(1);
        Value y = conv3(s.at("conv1"), s.relu(s.groupNorm("norm1", x, GROUPS)), channels, 1);
        return s.add(conv3(s.at("conv2"), s.relu(s.groupNorm("norm2", y, GROUPS)), channels, 1), x);
    }

    private static Value conv3(Scope s, Value x, int channels, int stride) {
        return s.conv("conv", x, channels, Window.of(x.shape().rank() - 2, 3, stride, 1), false);
    }

    private static Value conv1(Scope s, Value x, int channels, boolean bias) {
        return s.conv("conv", x, channels, Window.of(x.shape().rank() - 2, 1, 1, 0), bias);
    }
}
