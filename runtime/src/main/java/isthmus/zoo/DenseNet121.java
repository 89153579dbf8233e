package isthmus.zoo;

import isthmus.nn.Network;
import isthmus.nn.Scope;
import isthmus.op.Value;
import isthmus.op.Window;

/**
 * DenseNet-121 (Huang et al. 2016, arXiv 1608.06993), names and shapes as torchvision's {@code densenet121}. Every layer
 * reads all that its block has made so far and adds {@value #GROWTH} channels to it.
 *
 * @param dropout of each layer's new channels, torchvision's {@code drop_rate}
 */
record DenseNet121(int classes, float dropout) implements Network {
    private static final int[] BLOCKS = {6, 12, 24, 16};
    private static final int GROWTH = 32;
    private static final Window POINT = Window.of(2, 1, 1, 0);

    @Override
    public Value forward(Scope s, Value x) {
        Scope f = s.at("features");
        x = f.relu(f.batchNorm("norm0", f.convHeIn("conv0", x, 2 * GROWTH, Window.of(2, 7, 2, 3))));
        x = f.maxPool(x, Window.of(2, 3, 2, 1));
        for (int i = 1; i <= BLOCKS.length; i++) {
            x = block(f.at("denseblock" + i), x, BLOCKS[i - 1]);
            if (i < BLOCKS.length) x = transition(f.at("transition" + i), x);
        }
        x = f.relu(f.batchNorm("norm5", x));
        return s.logits("classifier", s.globalAvgPool(x), classes);
    }

    private Value block(Scope s, Value x, int layers) {
        for (int i = 1; i <= layers; i++)
            x = s.concat(x, layer(s.at("denselayer" + i), x));
        return x;
    }

    private Value layer(Scope s, Value x) {
        x = s.convHeIn("conv1", s.relu(s.batchNorm("norm1", x)), 4 * GROWTH, POINT);
        x = s.convHeIn("conv2", s.relu(s.batchNorm("norm2", x)), GROWTH, Window.of(2, 3, 1, 1));
        return s.dropout(x, dropout);
    }

    /** Halves channels and sides. */
    private static Value transition(Scope s, Value x) {
        x = s.convHeIn("conv", s.relu(s.batchNorm("norm", x)), x.shape().dim(1) / 2, POINT);
        return s.avgPool(x, Window.of(2, 2, 2, 0));
    }
}
