package isthmus.tensor;

/** Element types, named as in safetensors. */
public enum DType {
    /** IEEE 754 single precision. */
    F32(4),
    /** IEEE 754 half precision. */
    F16(2),
    /** The upper half of a single: 8 bits of exponent, 7 of fraction. */
    BF16(2),
    /** IEEE 754 double precision; in other programs' files only. */
    F64(8),
    /** Unsigned byte. */
    U8(1),
    /** Signed byte, two's complement; in other programs' files only. */
    I8(1),
    /** A byte that is 0 or 1; in other programs' files only. */
    BOOL(1),
    /** Signed 16-bit integer, two's complement; in other programs' files only. */
    I16(2),
    /** Signed 32-bit integer, two's complement. */
    I32(4),
    /** Signed 64-bit integer, two's complement. */
    I64(8);

    private final int bytes;

    DType(int bytes) { this.bytes = bytes; }

    /** Size of one element in bytes. */
    public int bytes() { return bytes; }
}
