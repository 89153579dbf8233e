package isthmus.data;

/**
 * How training pictures vary from epoch to epoch, each by its own draw; zeros change nothing.
 *
 * @param shift      furthest shift of the crop, each way, as a share of its side (the picture's edge is repeated beyond
 *                   it)
 * @param flip       probability of swapping left and right
 * @param degrees    largest rotation, either way
 * @param scale      largest change of size: by a factor in [1 - scale, 1 + scale]
 * @param brightness largest value added, on the scale 0 to 1
 * @param contrast   largest change of contrast: by a factor in [1 - contrast, 1 + contrast] about the middle grey
 * @param gamma      largest change of gamma: an exponent between 1 / (1 + gamma) and 1 + gamma, evenly on a log scale
 */
public record Augment(double shift, double flip, double degrees, double scale, double brightness, double contrast,
        double gamma) {
    /** No change at all. */
    public static final Augment NONE = new Augment(0, 0, 0, 0, 0, 0, 0);

    /** Small changes that suit chest films: crops, flips, 7 degrees, a tenth of size, brightness and contrast. */
    public static final Augment CHEST = new Augment(0.06, 0.5, 7, 0.1, 0.1, 0.2, 0.2);

    public Augment {
        check("shift", shift, 1);
        check("flip", flip, 1);
        check("degrees", degrees, 180);
        check("scale", scale, 0.9);
        check("brightness", brightness, 1);
        check("contrast", contrast, 1);
        check("gamma", gamma, 4);
    }

    private static void check(String name, double value, double most) {
        if (!(value >= 0 && value <= most))
            throw new DataException("augmentation has " + name + " " + value + "; it is 0 to " + most);
    }
}
