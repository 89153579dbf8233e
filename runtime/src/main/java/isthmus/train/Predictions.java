package isthmus.train;

import java.util.OptionalDouble;

/** Logits and labels of a data set, {@code [rows, columns]} row after row; a negative label is unknown. */
@SuppressWarnings("ArrayRecordComponent") // never compared
public record Predictions(int rows, int columns, float[] logits, float[] labels) {
    /** AUROC of one column, or nothing where only one class is known. */
    public OptionalDouble auroc(int column) {
        return Auroc.of(column(logits, column), column(labels, column));
    }

    /** Mean AUROC over the columns that have one. */
    public OptionalDouble meanAuroc() {
        double sum = 0;
        int known = 0;
        for (int c = 0; c < columns; c++) {
            OptionalDouble a = auroc(c);
            if (a.isEmpty()) continue;
            sum += a.getAsDouble();
            known++;
        }
        return known == 0 ? OptionalDouble.empty() : OptionalDouble.of(sum / known);
    }

    /** Mean binary cross-entropy over known labels. */
    public double loss() {
        double sum = 0;
        long known = 0;
        for (int i = 0; i < logits.length; i++) {
            if (labels[i] < 0) continue;
            double x = logits[i];
            sum += Math.max(x, 0) - x * labels[i] + Math.log1p(Math.exp(-Math.abs(x)));
            known++;
        }
        return known == 0 ? Double.NaN : sum / known;
    }

    private float[] column(float[] all, int column) {
        float[] v = new float[rows];
        for (int i = 0; i < rows; i++)
            v[i] = all[i * columns + column];
        return v;
    }
}
