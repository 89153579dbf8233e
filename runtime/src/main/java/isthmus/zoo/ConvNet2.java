package isthmus.zoo;

import isthmus.nn.Network;
import isthmus.nn.Scope;
import isthmus.op.Value;
import isthmus.op.Window;

/** Two convolutions and two linear layers: 3x3 (32), pool 2, 3x3 (64), pool 2, linear (128), dropout, linear. */
record ConvNet2(int classes, float dropout) implements Network {
    private static final Window SAME = Window.of(2, 3, 1, 1);
    private static final Window HALVE = Window.of(2, 2, 2, 0);

    @Override
    public Value forward(Scope s, Value x) {
        x = s.maxPool(s.relu(s.conv("conv1", x, 32, SAME, true)), HALVE);
        x = s.maxPool(s.relu(s.conv("conv2", x, 64, SAME, true)), HALVE);
        x = s.relu(s.linear("fc1", s.flatten(x), 128));
        return s.logits("fc2", s.dropout(x, dropout), classes);
    }
}
