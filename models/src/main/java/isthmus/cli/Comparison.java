package isthmus.cli;

import isthmus.onnx.OnnxFacts;
import isthmus.tensor.Shape;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Adds up how far two results of the same pictures are apart. A value that is no number agrees with nothing. */
final class Comparison {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT;

    private final int classes;
    private final long space;
    private final boolean oneOfAll;
    private double logit;
    private double relative;
    private double probability;
    private long decisions;
    private long changed;

    /** @param output shape of one picture's logits, {@code [classes,...]} */
    Comparison(Shape output, OnnxFacts.Decision decision) {
        this.classes = output.dim(0);
        this.space = output.elementsFrom(1);
        this.oneOfAll = decision == OnnxFacts.Decision.SOFTMAX;
    }

    /** One picture: logits as they should be and as they are, and probabilities if the file gives some. */
    void add(MemorySegment expected, MemorySegment got, MemorySegment sure) {
        for (long s = 0; s < space; s++) {
            double sum = oneOfAll ? sum(expected, s) : 0;
            for (int c = 0; c < classes; c++) {
                double e = at(expected, c, s);
                double off = Math.abs(e - at(got, c, s));
                logit = worse(logit, off);
                relative = worse(relative, off / Math.max(1, Math.abs(e)));
                double p = oneOfAll ? Math.exp(e) / sum : sigmoid(e);
                double q = sure == null ? sigmoid(at(got, c, s)) : at(sure, c, s);
                probability = worse(probability, Math.abs(p - q));
                if (!oneOfAll && e > 0 != at(got, c, s) > 0) changed++;
            }
            if (oneOfAll && first(expected, s) != first(got, s)) changed++;
            decisions += oneOfAll ? 1 : classes;
        }
    }

    private double at(MemorySegment m, int c, long s) { return m.getAtIndex(F32, c * space + s); }

    private double sum(MemorySegment m, long s) {
        double sum = 0;
        for (int c = 0; c < classes; c++)
            sum += Math.exp(at(m, c, s));
        return sum;
    }

    private int first(MemorySegment m, long s) {
        int best = 0;
        for (int c = 1; c < classes; c++)
            if (at(m, c, s) > at(m, best, s)) best = c;
        return best;
    }

    private static double sigmoid(double x) { return 1 / (1 + Math.exp(-x)); }

    private static double worse(double so, double off) {
        return Double.isNaN(off) ? Double.POSITIVE_INFINITY : Math.max(so, off);
    }

    Agreement.Figures figures(int images, double largest) {
        return new Agreement.Figures(images, logit, relative, probability, changed / (double) Math.max(1, decisions),
                largest);
    }
}
