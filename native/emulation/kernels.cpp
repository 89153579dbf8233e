/* Our CUDA kernels, for the host. */
#define HOST_CUDA
#include "../cuda/channels.cu"
#include "../cuda/dice.cu"
#include "../cuda/gate.cu"
#include "../cuda/layout.cu"
#include "../cuda/norm.cu"
#include "../cuda/optim.cu"
#include "../cuda/pool.cu"
#include "../cuda/upsample.cu"
#include "../cuda/warp.cu"
namespace depthwise_convolution {
#include "../cuda/depthwise.cu"
}
namespace elementwise {
#include "../cuda/elementwise.cu"
}
namespace detection {
#include "../cuda/detection.cu"
}
namespace loss {
#include "../cuda/loss.cu"
}
