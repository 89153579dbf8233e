package isthmus.data;

/**
 * What brightness, contrast and gamma make of each of the 256 grey values, 0 to 1. Only exact functions (StrictMath, no fused
 * multiply-add) are used: the bits are the same on every machine.
 */
final class Tones {
    /** Logarithms of the grey values: StrictMath.pow would make three arrays a call, its exp makes none. */
    private static final double[] LOG = new double[256];

    static {
        for (int i = 1; i < LOG.length; i++)
            LOG[i] = StrictMath.log(i / 255.0);
    }

    /** One a grey value. */
    final float[] values = new float[256];

    /** Sets them all; (1, 1, 0) leaves every grey value as it is. */
    void set(double gamma, double contrast, double brightness) {
        for (int i = 0; i < values.length; i++) {
            double v = i / 255.0;
            double curved = gamma == 1 || i == 0 ? v : StrictMath.exp(gamma * LOG[i]);
            values[i] = (float) Math.clamp((curved - 0.5) * contrast + 0.5 + brightness, 0.0, 1.0);
        }
    }
}
