package isthmus.zoo;

import isthmus.nn.Network;
import isthmus.nn.Scope;
import isthmus.op.Value;
import isthmus.op.Window;

/** ResNet-34 (He et al. 2015, arXiv 1512.03385), names and shapes as torchvision's {@code resnet34}. */
record ResNet34(int classes) implements Network {
    private static final int[] BLOCKS = {3, 4, 6, 3};

    @Override
    public Value forward(Scope s, Value x) {
        x = s.relu(s.batchNorm("bn1", s.convHe("conv1", x, 64, Window.of(2, 7, 2, 3))));
        x = s.maxPool(x, Window.of(2, 3, 2, 1));
        for (int i = 0; i < BLOCKS.length; i++)
            x = stage(s.at("layer" + (i + 1)), x, 64 << i, BLOCKS[i], i == 0 ? 1 : 2);
        return s.logits("fc", s.globalAvgPool(x), classes);
    }

    private static Value stage(Scope s, Value x, int channels, int blocks, int stride) {
        for (int i = 0; i < blocks; i++)
            x = block(s.at(i), x, channels, i == 0 ? stride : 1);
        return x;
    }

    private static Value block(Scope s, Value x, int channels, int stride) {
        Value y = s.relu(s.batchNorm("bn1", s.convHe("conv1", x, channels, Window.of(2, 3, stride, 1))));
        y = s.batchNorm("bn2", s.convHe("conv2", y, channels, Window.of(2, 3, 1, 1)));
        Value identity = x;
        if (stride != 1 || x.shape().dim(1) != channels) {
            Scope down = s.at("downsample");
            identity = down.batchNorm("1", down.convHe("0", x, channels, Window.of(2, 1, stride, 0)));
        }
        return s.relu(s.add(y, identity));
    }
}
