package isthmus.tensor;

/** Element types, named as in safetensors. */
public enum DType {
    /** IEEE 754 single precision. */
    F32(4),
    /** IEEE 754 half precision. */
    F16(2),
    /** The upper half of a single: 8 bits of exponent, 7 of fraction. */
    BF16(2),
    /** Unsigned byte. */
    U8(1),
    /** Signed 32-bit integer, two's complement. */
    I32(4),
    /** Signed 64-bit integer, two's complement. */
    I64(8);

    private final int bytes;

    DType(int bytes) { this.bytes = bytes; }

    /** Size of one element in bytes. */
    public int bytes() { return bytes; }
}
