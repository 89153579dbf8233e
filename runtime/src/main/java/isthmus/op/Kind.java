package isthmus.op;

/** What a value is, from which the precision pass chooses its element type. */
public enum Kind {
    /** Activations and their gradients: float32, or the compute type in mixed precision. */
    ACTIVATION,
    /** Always float32: master weights, gradients of weights, statistics, logits, losses. */
    FLOAT,
    /** Class labels: int32, one a picture or one a position: no axis of channels, so memory is row-major. */
    LABEL,
    /** Unsigned bytes: positions inside a pooling window, pictures before they are normalised. */
    BYTE
}
