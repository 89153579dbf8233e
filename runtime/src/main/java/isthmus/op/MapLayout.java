package isthmus.op;

import java.util.List;

/**
 * What lies where in a detector's joined maps, one row {@code [length]} a sample: of each level the class map
 * {@code [anchors * classes, ...]}, then of each level the box map {@code [anchors * 2 axes, ...]}, each in the logical order.
 * Anchors are numbered level by level, position by position (the last axis fastest), shape by shape.
 *
 * @param levels spatial lengths of each level's maps, the finest first
 * @param anchors anchor shapes at every position
 * @param classes kinds of objects
 */
public record MapLayout(List<List<Integer>> levels, int anchors, int classes) {
    public MapLayout {
        levels = levels.stream().map(List::copyOf).toList();
        ShapeException.require(!levels.isEmpty() && anchors > 0 && classes > 0, "maps",
                levels.size() + " levels, " + anchors + " anchors, " + classes + " classes");
        int axes = levels.getFirst().size();
        ShapeException.require(levels.stream().allMatch(l -> l.size() == axes), "maps",
                "levels of different numbers of axes: " + levels);
        ShapeException.require(total(levels) * anchors < 1 << 24, "maps",
                total(levels) * anchors + " anchors; fewer than 2^24 are possible");
    }

    private static long total(List<List<Integer>> levels) { return levels.stream().mapToLong(MapLayout::volume).sum(); }

    private static long volume(List<Integer> lengths) {
        return lengths.stream().mapToLong(Integer::longValue).reduce(1, (a, b) -> a * b);
    }

    /** Spatial axes. */
    public int axes() { return levels.getFirst().size(); }

    /** Box codes of an anchor: one offset and one size an axis. */
    public int codes() { return 2 * axes(); }

    /** Positions of a level. */
    public int positions(int level) { return (int) volume(levels.get(level)); }

    /** Positions of all levels. */
    public int positions() { return (int) total(levels); }

    /** Anchors of a sample. */
    public int total() { return positions() * anchors; }

    /** Length of a sample's row. */
    public int length() { return total() * (classes + codes()); }

    /** Number of the first anchor of a level; one behind the last level it is {@link #total()}. */
    public int firstAnchor(int level) {
        int before = 0;
        for (int l = 0; l < level; l++)
            before += positions(l);
        return before * anchors;
    }

    /** The level that an anchor belongs to. */
    public int level(int anchor) {
        int level = 0;
        while (anchor >= firstAnchor(level + 1))
            level++;
        return level;
    }

    /** Where an anchor's first class logit lies; the next ones follow a level's positions apart. */
    public int classAt(int anchor) {
        return at(anchor, classes, 0);
    }

    /** Where an anchor's first box code lies; the next ones follow a level's positions apart. */
    public int codeAt(int anchor) {
        return at(anchor, codes(), total() * classes);
    }

    private int at(int anchor, int channels, int start) {
        int level = level(anchor);
        int first = firstAnchor(level);
        int position = (anchor - first) / anchors;
        int shape = (anchor - first) % anchors;
        return start + first * channels + shape * channels * positions(level) + position;
    }
}
