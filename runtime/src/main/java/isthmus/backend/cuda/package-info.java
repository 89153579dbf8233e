/**
 * NVIDIA GPUs: cuDNN's graphs for convolutions, cuBLASLt for matrix products, our own kernels for all that is bound by memory,
 * and a step that is replayed as one CUDA graph. The same code runs on the emulation of our tests.
 */
package isthmus.backend.cuda;
