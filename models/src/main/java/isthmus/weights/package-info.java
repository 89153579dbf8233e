/**
 * Other programs' weights: reads checkpoints (PyTorch, safetensors, ONNX), maps their names to a model's and adapts what may
 * differ. Files are distrusted: nothing in them is run, sizes are bounded before memory is taken, and tensors are views of the
 * mapped file.
 */
package isthmus.weights;
