package isthmus.graph;

import isthmus.op.Node;
import isthmus.tensor.DType;

/**
 * One native call of a program, for reports.
 *
 * @param implementation what runs, in the library's own words where it has some
 * @param type element type of the first input, in which the kernel computes
 * @param bytes least traffic where caches hold nothing: what must be read is read once, or twice where sums over it come
 *     first, every result is written once; weights kept in another layout and scratch memory are not counted
 * @param flops see {@link isthmus.op.Op#flops}
 * @param liveBytes arena memory that is taken while the call runs
 */
public record Call(Node node, String implementation, DType type, long bytes, long flops, long liveBytes) {}
