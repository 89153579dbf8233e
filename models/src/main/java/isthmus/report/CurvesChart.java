package isthmus.report;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.geom.Ellipse2D;
import java.awt.geom.Line2D;
import java.awt.geom.Path2D;
import java.awt.geom.Rectangle2D;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import javax.imageio.ImageIO;

/** Learning curves side by side as one PNG, drawn without fonts or a display. */
public final class CurvesChart {
    /**
     * One curve.
     *
     * @param name as in the legend
     * @param color which of the colours, from 0; curves of the same colour belong together
     * @param dashed whether its line is dashed
     * @param values at x = 1, 2, ...; NaN where there is none
     */
    public record Curve(String name, int color, boolean dashed, List<Double> values) {}

    /** One pair of axes with its curves. */
    public record Panel(String title, String xLabel, List<Curve> curves) {}

    private static final Color[] COLORS = {new Color(0x0072B2), new Color(0xD55E00), new Color(0x009E73),
            new Color(0xCC79A7),
            new Color(0x56B4E9), new Color(0xE69F00), new Color(0x444444)};
    private static final Color INK = new Color(0x333333);
    private static final Color GRID = new Color(0xDDDDDD);
    private static final int WIDTH = 640;
    private static final int PLOT = 330;
    private static final int LEFT = 70;
    private static final int RIGHT = 24;
    private static final int TOP = 70;
    private static final int LEGEND_LINE = 20;
    private static final double TEXT = 9;

    private CurvesChart() {}

    /** Writes the picture; a panel without curves shows its empty axes. */
    public static void write(Path file, String title, List<Panel> panels) throws IOException {
        int lines = panels.stream().mapToInt(p -> p.curves.size()).max().orElse(0);
        int height = TOP + PLOT + 60 + lines * LEGEND_LINE;
        var image = new BufferedImage(WIDTH * panels.size(), height, BufferedImage.TYPE_INT_RGB);
        Graphics2D g = image.createGraphics();
        g.setRenderingHint(RenderingHints.KEY_ANTIALIASING, RenderingHints.VALUE_ANTIALIAS_ON);
        g.setRenderingHint(RenderingHints.KEY_STROKE_CONTROL, RenderingHints.VALUE_STROKE_PURE);
        g.setColor(Color.WHITE);
        g.fillRect(0, 0, image.getWidth(), image.getHeight());
        g.setColor(INK);
        StrokeFont.draw(g, title, 20, 16, 12);
        for (int i = 0; i < panels.size(); i++)
            new Axes(g, i * WIDTH, panels.get(i)).draw();
        g.dispose();
        if (!ImageIO.write(image, "png", file.toFile())) throw new IOException(file + ": this Java writes no PNG");
    }

    /** One panel's axes on the canvas. */
    private static final class Axes {
        private final Graphics2D g;
        private final int left;
        private final Panel panel;
        private final int count;
        private final double low;
        private final double high;
        private final double step;

        Axes(Graphics2D g, int origin, Panel panel) {
            this.g = g;
            this.left = origin + LEFT;
            this.panel = panel;
            this.count = Math.max(2, panel.curves.stream().mapToInt(c -> c.values.size()).max().orElse(2));
            double[] known = panel.curves.stream().flatMap(c -> c.values.stream()).mapToDouble(v -> v)
                    .filter(Double::isFinite)
                    .toArray();
            double least = java.util.Arrays.stream(known).min().orElse(0);
            double most = java.util.Arrays.stream(known).max().orElse(1);
            this.step = step(Math.max(most - least, 1e-6));
            this.low = Math.floor(least / step + 1e-6) * step;
            this.high = Math.max(Math.ceil(most / step - 1e-6) * step, low + step);
        }

        void draw() {
            g.setColor(INK);
            StrokeFont.draw(g, panel.title, left, TOP - 24, TEXT);
            grid();
            for (Curve curve : panel.curves)
                curve(curve);
            legend();
        }

        /** 1, 2 or 5 times a power of ten, for about five lines. */
        private static double step(double range) {
            double rough = range / 5;
            double power = Math.pow(10, Math.floor(Math.log10(rough)));
            for (double factor : new double[]{1, 2, 5})
                if (rough <= factor * power) return factor * power;
            return 10 * power;
        }

        private void grid() {
            int right = left + WIDTH - LEFT - RIGHT;
            for (int i = 0; low + i * step <= high + step / 2; i++) {
                double value = low + i * step;
                line(GRID, left, y(value), right, y(value));
                int digits = (int) Math.max(0, Math.min(6, Math.ceil(-Math.log10(step))));
                String text = String.format(Locale.ROOT, "%." + digits + "f", value);
                g.setColor(INK);
                StrokeFont.draw(g, text, left - 10 - StrokeFont.width(text, TEXT), y(value) - TEXT / 2, TEXT);
            }
            int every = Math.max(1, (int) Math.ceil(count / 12.0));
            for (int x = 1; x <= count; x += every) {
                String text = Integer.toString(x);
                g.setColor(INK);
                StrokeFont.draw(g, text, x(x) - StrokeFont.width(text, TEXT) / 2, TOP + PLOT + 8, TEXT);
            }
            line(INK, left, TOP + PLOT, right, TOP + PLOT);
            line(INK, left, TOP, left, TOP + PLOT);
            StrokeFont.draw(g, panel.xLabel, right - StrokeFont.width(panel.xLabel, TEXT), TOP + PLOT + 26, TEXT);
        }

        private void curve(Curve curve) {
            var path = new Path2D.Double();
            var dots = new ArrayList<Ellipse2D>();
            boolean down = false;
            for (int i = 0; i < curve.values.size(); i++) {
                double value = curve.values.get(i);
                if (!Double.isFinite(value)) {
                    down = false;
                    continue;
                }
                double px = x(i + 1.0);
                double py = y(value);
                if (down) path.lineTo(px, py);
                else
                    path.moveTo(px, py);
                down = true;
                dots.add(new Ellipse2D.Double(px - 2.5, py - 2.5, 5, 5));
            }
            g.setColor(color(curve));
            g.setStroke(stroke(curve));
            g.draw(path);
            if (!curve.dashed) dots.forEach(g::fill);
        }

        private void legend() {
            double y = TOP + PLOT + 50;
            for (Curve curve : panel.curves) {
                g.setColor(color(curve));
                g.setStroke(stroke(curve));
                g.draw(new Line2D.Double(left, y + TEXT / 2, left + 32.0, y + TEXT / 2));
                g.setColor(INK);
                StrokeFont.draw(g, curve.name, left + 42.0, y, TEXT);
                y += LEGEND_LINE;
            }
        }

        private static Color color(Curve curve) { return COLORS[Math.floorMod(curve.color, COLORS.length)]; }

        private static BasicStroke stroke(Curve curve) {
            return curve.dashed
                    ? new BasicStroke(1.6f, BasicStroke.CAP_BUTT, BasicStroke.JOIN_ROUND, 1, new float[]{6, 5}, 0)
                    : new BasicStroke(2f, BasicStroke.CAP_ROUND, BasicStroke.JOIN_ROUND);
        }

        private void line(Color color, double x1, double y1, double x2, double y2) {
            g.setColor(color);
            g.fill(new Rectangle2D.Double(x1, y1, Math.max(1, x2 - x1), Math.max(1, y2 - y1)));
        }

        private double x(double index) {
            double span = WIDTH - LEFT - RIGHT - 40.0;
            return left + 20 + span * (index - 1) / (count - 1);
        }

        private double y(double value) { return TOP + PLOT - PLOT * (value - low) / (high - low); }
    }
}
