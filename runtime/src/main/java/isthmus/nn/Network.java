package isthmus.nn;

import isthmus.op.Value;

/** A network's figure, top to bottom. */
public interface Network {
    /** Adds the network to the graph: from images {@code [N,C,H,W]} to logits {@code [N,classes]}. */
    Value forward(Scope s, Value x);
}
