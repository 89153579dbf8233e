/* Our CUDA kernels, for the host. */
#define HOST_CUDA
#include "../cuda/elementwise.cu"
#include "../cuda/layout.cu"
#include "../cuda/loss.cu"
#include "../cuda/norm.cu"
#include "../cuda/optim.cu"
#include "../cuda/pool.cu"
