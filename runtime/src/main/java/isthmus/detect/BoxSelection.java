package isthmus.detect;

/**
 * Which of the boxes that the maps hold are kept (MONAI's BoxSelector): of each level the best with a score above
 * {@code score}, clipped to the image and at least a voxel long along every axis; then, over all levels, those that non-maximum
 * suppression leaves.
 *
 * @param score least chance of being an object
 * @param perLevel most boxes of a level before suppression
 * @param overlap most overlap of two boxes of one class
 * @param perImage most boxes of an image
 */
public record BoxSelection(float score, int perLevel, float overlap, int perImage) {
    public BoxSelection {
        if (!(score >= 0 && score < 1) || perLevel < 1 || !(overlap >= 0 && overlap <= 1) || perImage < 1)
            throw new IllegalArgumentException("box selection: score " + score + " (0 to 1), " + perLevel
                    + " boxes a level, overlap " + overlap + " (0 to 1), " + perImage + " boxes an image");
    }

    /** As MONAI's bundle {@code lung_nodule_ct_detection} finds nodules. */
    public static final BoxSelection LUNA16 = new BoxSelection(0.02f, 1000, 0.22f, 300);
}
