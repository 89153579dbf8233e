package isthmus.tensor;

/** What a stretch of the weight buffer is for. The buffer holds the regions in this order, each without holes. */
public enum Region {
    /** Never changed by training: no gradient, no optimizer state, never sent. */
    FROZEN,
    /** Changed by the optimizer. */
    TRAINABLE,
    /** Running statistics of normalisation layers: changed by training steps, not by the optimizer. */
    STATISTICS
}
