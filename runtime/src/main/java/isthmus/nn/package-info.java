/** Layers by their PyTorch names, initial values, and the model: a network with its weight table. */
package isthmus.nn;
