package isthmus.op;

import java.util.List;

/**
 * Mean and biased variance of each channel over batch and space: {@code [N,C,...] -> [C], [C]}, float32. The first half
 * of batch normalisation (Ioffe and Szegedy 2015). Its derivative is part of {@link Normalize}'s.
 */
public record ChannelStatistics() implements Op {
    @Override
    public String name() { return "channel_statistics"; }

    @Override
    public List<Spec> infer(List<Spec> in) {
        Spec c = Spec.ofFloat(in.get(0).shape().dim(1));
        return List.of(c, c);
    }

    /** A sum and a sum of squares. */
    @Override
    public long flops(List<Spec> in, List<Spec> out) { return 3 * in.get(0).shape().elements(); }

    @Override
    public void gradient(Backward b) {
        // Normalize's derivative carries the whole gradient, through mean and variance as well.
    }

    @Override
    public void reference(Reference r) {
        int channels = r.inShape(0).dim(1);
        int spatial = (int) r.inShape(0).elementsFrom(2);
        int count = r.in(0).length / channels;
        for (int c = 0; c < channels; c++) {
            double sum = 0;
            double squares = 0;
            for (int i = 0; i < count; i++) {
                double x = r.in(0)[(i / spatial * channels + c) * spatial + i % spatial];
                sum += x;
                squares += x * x;
            }
            r.out(0)[c] = (float) (sum / count);
            r.out(1)[c] = (float) Math.max(0, squares / count - sum / count * (sum / count));
        }
    }
}
