/**
 * Shapes, element types, and the one flat buffer that holds all weights of a model.
 *
 * <p>A {@link isthmus.tensor.WeightTable} describes a {@link isthmus.tensor.WeightBuffer}; gradients and optimizer
 * moments use the same table and offsets, so that clipping, optimizers, the wire and the server's folding are each one
 * pass over a range of bytes.
 */
package isthmus.tensor;
