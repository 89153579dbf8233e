package isthmus.report;

import java.awt.BasicStroke;
import java.awt.Graphics2D;
import java.awt.geom.Path2D;
import java.util.HashMap;
import java.util.Map;

/**
 * Letters as strokes on a grid of 4 by 6, descenders to 8. A server may have no fonts, and Java draws no text without
 * them; these letters are always there.
 *
 * <p>
 * A glyph is a list of polylines parted by commas; a point is two digits, x and then y downwards from the capitals' top.
 */
final class StrokeFont {
    private static final String TABLE = """
            0 10 30 41 45 36 16 05 01 10
            1 11 20 26,16 36
            2 01 10 30 41 42 06 46
            3 01 10 30 41 42 33 44 45 36 16 05,23 33
            4 36 30 04 44
            5 40 00 03 33 44 45 36 06
            6 40 20 02 05 16 36 45 44 33 03
            7 00 40 16
            8 13 02 01 10 30 41 42 33 13 04 05 16 36 45 44 33
            9 06 26 44 41 30 10 01 02 13 43
            a 43 32 12 03 05 16 36 45,42 46
            b 00 06,03 12 32 43 45 36 16 05
            c 43 32 12 03 05 16 36 45
            d 40 46,43 32 12 03 05 16 36 45
            e 04 44 43 32 12 03 05 16 36 45
            f 40 30 21 26,12 32
            g 43 32 12 03 05 16 36 45,42 47 38 18
            h 00 06,03 12 32 43 46
            i 22 26,20 20
            j 22 27 18,20 20
            k 00 06,32 04,14 36
            l 20 26
            m 02 06,03 12 23 26,23 32 43 46
            n 02 06,03 12 32 43 46
            o 12 32 43 45 36 16 05 03 12
            p 02 08,03 12 32 43 45 36 16 05
            q 42 48,43 32 12 03 05 16 36 45
            r 02 06,03 12 32
            s 43 32 12 03 14 34 45 36 16 05
            t 20 25 36,12 32
            u 02 05 16 36 45,42 46
            v 02 26 42
            w 02 16 23 36 42
            x 02 46,42 06
            y 02 26,42 18
            z 02 42 06 46
            A 06 20 46,14 34
            B 00 06 36 45 44 33 03,33 42 41 30 00
            C 41 30 10 01 05 16 36 45
            D 00 06 26 44 42 20 00
            E 40 00 06 46,03 33
            F 40 00 06,03 33
            G 41 30 10 01 05 16 36 45 43 23
            H 00 06,40 46,03 43
            I 10 30,20 26,16 36
            J 40 45 36 16 05
            K 00 06,40 03 46
            L 00 06 46
            M 06 00 23 40 46
            N 06 00 46 40
            O 10 30 41 45 36 16 05 01 10
            P 06 00 30 41 42 33 03
            Q 10 30 41 45 36 16 05 01 10,24 46
            R 06 00 30 41 42 33 03,23 46
            S 41 30 10 01 02 13 33 44 45 36 16 05
            T 00 40,20 26
            U 00 05 16 36 45 40
            V 00 26 40
            W 00 16 22 36 40
            X 00 46,40 06
            Y 00 23 40,23 26
            Z 00 40 06 46
            . 26 26
            , 26 17
            : 23 23,26 26
            - 13 33
            ' 20 21
            * 21 25,12 34,32 14
            ? 01 10 30 41 42 24,26 26
            ! 20 24,26 26
            _ 07 47
            / 06 40
            ( 30 12 14 36
            ) 10 32 34 16
            % 06 40,00 10 11 01 00,35 45 46 36 35
            + 03 43,21 25
            = 02 42,04 44
            """;
    private static final double GAP = 1.7;
    private static final double BLANK = 3;
    private static final Map<Character, String> GLYPHS = glyphs();

    private StrokeFont() {}

    /** Width of a text whose capitals are {@code height} high. */
    static double width(String text, double height) {
        double units = 0;
        for (int i = 0; i < text.length(); i++)
            units += advance(text.charAt(i));
        return Math.max(0, units - GAP) * height / 6;
    }

    /** Draws a text with its capitals' upper left corner at x, y; a letter that is not in the table is a blank. */
    static void draw(Graphics2D g, String text, double x, double y, double height) {
        double scale = height / 6;
        double at = x;
        g.setStroke(new BasicStroke((float) (height / 7), BasicStroke.CAP_ROUND, BasicStroke.JOIN_ROUND));
        for (int i = 0; i < text.length(); i++) {
            String glyph = GLYPHS.get(text.charAt(i));
            if (glyph != null) g.draw(path(glyph, at, y, scale));
            at += advance(text.charAt(i)) * scale;
        }
    }

    /** Each point takes three characters: x, y, and a blank or the comma that ends a polyline. */
    private static Path2D path(String glyph, double x, double y, double scale) {
        var path = new Path2D.Double();
        int least = edge(glyph, true);
        for (int i = 0; i < glyph.length(); i += 3) {
            double px = x + (glyph.charAt(i) - '0' - least) * scale;
            double py = y + (glyph.charAt(i + 1) - '0') * scale;
            if (i == 0 || glyph.charAt(i - 1) == ',') path.moveTo(px, py);
            else
                path.lineTo(px + scale / 100, py); // a dot has a length too, or nothing is drawn
        }
        return path;
    }

    private static double advance(char c) {
        String glyph = GLYPHS.get(c);
        return glyph == null ? BLANK : edge(glyph, false) - edge(glyph, true) + GAP;
    }

    private static int edge(String glyph, boolean left) {
        int edge = glyph.charAt(0) - '0';
        for (int i = 3; i < glyph.length(); i += 3) {
            int x = glyph.charAt(i) - '0';
            edge = left ? Math.min(edge, x) : Math.max(edge, x);
        }
        return edge;
    }

    private static Map<Character, String> glyphs() {
        Map<Character, String> all = new HashMap<>();
        TABLE.lines().forEach(l -> all.put(l.charAt(0), l.substring(2)));
        return Map.copyOf(all);
    }
}
