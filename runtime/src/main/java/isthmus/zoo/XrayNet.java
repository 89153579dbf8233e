package isthmus.zoo;

import isthmus.nn.Network;
import isthmus.nn.Scope;
import isthmus.op.Value;
import isthmus.op.Window;

/**
 * A small network for a few hundred chest films, trained from scratch on a CPU in minutes: every picture is brought to mean
 * 0 and variance 1, which takes away much of what differs between hospitals' devices; a stem halves it; then come three
 * double 3x3 convolutions of growing width, each with batch norm and ReLU, pooling between them. About 0.17
 * million parameters.
 */
record XrayNet(int classes, float dropout) implements Network {
    private static final int[] WIDTHS = {32, 48, 96};

    @Override
    public Value forward(Scope s, Value x) {
        x = layer(s.at("stem"), s.groupNorm("input", x, 1), 16, 2);
        for (int i = 0; i < WIDTHS.length; i++) {
            x = layer(s.at("block" + i + ".0"), x, WIDTHS[i], 1);
            x = layer(s.at("block" + i + ".1"), x, WIDTHS[i], 1);
            if (i + 1 < WIDTHS.length) x = s.maxPool(x, Window.of(2, 2, 2, 0));
        }
        return s.logits("head", s.dropout(s.globalAvgPool(x), dropout), classes);
    }

    private static Value layer(Scope s, Value x, int channels, int stride) {
        return s.relu(s.batchNorm("bn", s.convHe("conv", x, channels, Window.of(2, 3, stride, 1))));
    }
}
