package isthmus.op;

import isthmus.tensor.Shape;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/** The naive computation of an op within another one. */
record Parts(Reference whole, List<Part> in, List<Part> out) implements Reference {
    /** Values that it reads or writes. */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    record Part(float[] values, Shape shape) {
        Spec spec() { return new Spec(shape, Kind.ACTIVATION); }
    }

    static Part zeros(Shape s) { return new Part(new float[Math.toIntExact(s.elements())], s); }

    static Part out(Reference r, int i) { return new Part(r.out(i), r.outShape(i)); }

    /** The inputs [from, to) of the op around. */
    static List<Part> inputs(Reference r, int from, int to) {
        List<Part> in = new ArrayList<>();
        for (int i = from; i < to; i++)
            in.add(new Part(r.in(i), r.inShape(i)));
        return in;
    }

    /** The first results of the op around. */
    static List<Part> outputs(Reference r, int count) {
        return IntStream.range(0, count).mapToObj(i -> out(r, i)).toList();
    }

    @Override
    public float[] in(int i) { return in.get(i).values; }

    @Override
    public float[] out(int i) { return out.get(i).values; }

    @Override
    public Shape inShape(int i) { return in.get(i).shape; }

    @Override
    public Shape outShape(int i) { return out.get(i).shape; }

    @Override
    public int inputs() { return in.size(); }

    @Override
    public long seed() { return whole.seed(); }

    @Override
    public long step() { return whole.step(); }

    @Override
    public float lossScale() { return whole.lossScale(); }
}
