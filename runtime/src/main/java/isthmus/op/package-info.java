/**
 * The ops. One file an op, and the file is complete: what it means (formula, source), its output shapes, its derivative
 * as more ops, its ONNX form, and a naive reference in plain Java that documents and tests the fast kernels.
 *
 * <p>Shapes are logical, NCHW or NCDHW; how memory is ordered is the backend's affair.
 */
package isthmus.op;
