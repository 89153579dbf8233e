package isthmus.onnx;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Takes batch norms with fixed statistics out of a graph, in float64: {@code y = s x + t} with
 * {@code s = gamma / sqrt(variance + epsilon)} and {@code t = beta - mean s} goes into the weights and the bias of the
 * convolution before it; where there is none, a multiplication and an addition stay. Variances need not be held in float16
 * then.
 */
final class BatchNormFold {
    private final GraphProto source;
    private final HalfWeights weights;
    private final Map<String, TensorProto> initialisers = new LinkedHashMap<>();
    private final Map<String, Integer> readers = new HashMap<>();
    private final Map<String, Integer> makers = new HashMap<>();
    private final List<NodeProto> nodes = new ArrayList<>();

    BatchNormFold(GraphProto source, HalfWeights weights) {
        this.source = source;
        this.weights = weights;
        source.getInitializerList().forEach(t -> initialisers.put(t.getName(), t));
        source.getNodeList().forEach(n -> n.getInputList().forEach(in -> readers.merge(in, 1, Integer::sum)));
        source.getOutputList().forEach(o -> readers.merge(o.getName(), 1, Integer::sum));
    }

    GraphProto build() {
        for (NodeProto n : source.getNodeList()) {
            if (!n.getOpType().equals("BatchNormalization")) add(n);
            else if (!intoConvolution(n)) apart(n);
        }
        Set<String> read = new HashSet<>();
        nodes.forEach(n -> read.addAll(n.getInputList()));
        GraphProto.Builder g = source.toBuilder().clearNode().clearInitializer().addAllNode(nodes);
        initialisers.values().stream().filter(t -> read.contains(t.getName())).forEach(g::addInitializer);
        return g.build();
    }

    private void add(NodeProto n) {
        for (String out : n.getOutputList())
            makers.put(out, nodes.size());
        nodes.add(n);
    }

    /** The two numbers of a channel. */
    private record Line(double scale, double shift) {}

    private Line line(NodeProto norm, long channel) {
        double[] v = new double[5];
        for (int i = 1; i < 5; i++)
            v[i] = HalfWeights.value(values(norm.getInput(i)), channel);
        double epsilon = norm.getAttributeList().stream().filter(a -> a.getName().equals("epsilon"))
                .mapToDouble(AttributeProto::getF).findAny().orElse(1e-5);
        double scale = v[1] / Math.sqrt(v[4] + epsilon);
        return new Line(scale, v[2] - v[3] * scale);
    }

    private MemorySegment values(String initialiser) { return HalfWeights.values(initialisers.get(initialiser)); }

    private boolean intoConvolution(NodeProto norm) {
        Integer at = makers.get(norm.getInput(0));
        if (at == null || !nodes.get(at).getOpType().equals("Conv") || readers.get(norm.getInput(0)) > 1) return false;
        NodeProto conv = nodes.get(at);
        TensorProto w = initialisers.get(conv.getInput(1));
        if (w == null || readers.get(w.getName()) > 1) return false;
        String bias = norm.getName() + "/bias";
        long out = w.getDims(0);
        MemorySegment from = HalfWeights.values(w);
        MemorySegment scaled = weights.room(from.byteSize() / Float.BYTES);
        MemorySegment shifted = weights.room(out);
        long each = from.byteSize() / Float.BYTES / out;
        for (long o = 0; o < out; o++) {
            Line line = line(norm, o);
            double before = conv.getInputCount() > 2 ? HalfWeights.value(values(conv.getInput(2)), o) : 0;
            HalfWeights.set(shifted, o, before * line.scale + line.shift);
            for (long i = o * each; i < (o + 1) * each; i++)
                HalfWeights.set(scaled, i, HalfWeights.value(from, i) * line.scale);
        }
        initialisers.put(w.getName(), HalfWeights.single(w.getName(), scaled,
                w.getDimsList().stream().mapToLong(Long::longValue).toArray()));
        initialisers.put(bias, HalfWeights.single(bias, shifted, out));
        NodeProto.Builder folded = conv.toBuilder().clearInput().addInput(conv.getInput(0)).addInput(conv.getInput(1))
                .addInput(bias).setOutput(0, norm.getOutput(0));
        nodes.set(at, folded.build());
        makers.put(norm.getOutput(0), at);
        return true;
    }

    private void apart(NodeProto norm) {
        long channels = initialisers.get(norm.getInput(1)).getDims(0);
        MemorySegment scales = weights.room(channels);
        MemorySegment shifts = weights.room(channels);
        for (long c = 0; c < channels; c++) {
            Line line = line(norm, c);
            HalfWeights.set(scales, c, line.scale);
            HalfWeights.set(shifts, c, line.shift);
        }
        String scaled = step(norm, "Mul", norm.getInput(0), scales, channels, norm.getName() + "/scaled");
        step(norm, "Add", scaled, shifts, channels, norm.getOutput(0));
    }

    private String step(NodeProto norm, String type, String in, MemorySegment values, long channels, String out) {
        String name = norm.getName() + (type.equals("Mul") ? "/scale" : "/shift");
        long[] dims = new long[source.getInput(0).getType().getTensorType().getShape().getDimCount() - 1];
        java.util.Arrays.fill(dims, 1);
        dims[0] = channels;
        initialisers.put(name, HalfWeights.single(name, values, dims));
        add(NodeProto.newBuilder().setName(out).setOpType(type).addInput(in).addInput(name).addOutput(out).build());
        return out;
    }
}
