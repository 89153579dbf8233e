package isthmus.nn;

import isthmus.op.MapLayout;
import isthmus.op.Value;
import isthmus.tensor.Shape;
import java.util.Optional;

/** A network's figure, top to bottom. */
public interface Network {
    /**
     * Adds the network to the graph: from images {@code [N,C,H,W]} or {@code [N,C,D,H,W]} to float32 logits, one row an image
     * ({@code [N,classes]}), one at each position ({@code [N,classes,...]}), or whatever maps it has, joined to
     * {@code [N,length]}.
     */
    Value forward(Scope s, Value x);

    /** Of a detector, what lies where in its joined maps for images of shape {@code [C,...]}; nothing for others. */
    default Optional<MapLayout> maps(Shape image) {
        return Optional.empty();
    }
}
