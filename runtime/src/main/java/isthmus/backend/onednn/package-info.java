/**
 * The CPU: oneDNN for convolutions and matrix products, our own C kernels for everything that is bound by memory.
 * Activations are channels-last; a plan never holds an implementation that oneDNN calls {@code ref} or {@code gemm}.
 */
package isthmus.backend.onednn;
