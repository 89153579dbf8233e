package isthmus.graph;

import isthmus.op.ChannelStatistics;
import isthmus.op.Concat;
import isthmus.op.Node;
import isthmus.op.Value;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Takes the batch statistics of every channel once. Those of a concatenation are its parts' side by side, and two that read
 * one value share them: in DenseNet each layer's new channels are looked at once rather than by every later layer.
 */
final class ShareStatistics {
    private final Graph from;
    private final GraphCopy copy;
    private final Readers readers;
    /** Mean and variance by the id of the value in the old graph. */
    private final Map<Integer, List<Value>> known = new HashMap<>();

    private ShareStatistics(Graph from) {
        this.from = from;
        this.copy = new GraphCopy(from);
        this.readers = new Readers(from);
    }

    static Graph apply(Graph from) { return new ShareStatistics(from).run(); }

    private Graph run() {
        for (Node n : from.nodes()) {
            if (!(n.op() instanceof ChannelStatistics)) copy.move(n);
            else {
                List<Value> s = of(n.label(), n.in(0));
                copy.put(n.out(0), s.get(0));
                copy.put(n.out(1), s.get(1));
            }
        }
        return copy.done();
    }

    private List<Value> of(String label, Value x) {
        List<Value> s = known.get(x.id());
        if (s == null) {
            s = make(label, x);
            known.put(x.id(), s);
        }
        return s;
    }

    private List<Value> make(String label, Value x) {
        Node producer = readers.producer(x).orElse(null);
        if (producer == null || !(producer.op() instanceof Concat))
            return copy.apply(label, new ChannelStatistics(), copy.of(x));
        List<Value> means = new ArrayList<>();
        List<Value> variances = new ArrayList<>();
        for (Value part : producer.inputs()) {
            List<Value> s = of(label, part);
            means.add(s.get(0));
            variances.add(s.get(1));
        }
        return List.of(join(label, means), join(label, variances));
    }

    private Value join(String label, List<Value> parts) {
        return copy.apply(label, new Concat(), parts.toArray(Value[]::new)).getFirst();
    }
}
