/*
 * Isthmus kernels: the only C interface.
 *
 * Every function returns a status: IST_OK, or another one with a text in ist_last_error(). Nothing is written then
 * unless said otherwise. No pointer is kept after a call.
 *
 * Activations are channels-last: `rows x c` elements, rows = batch x space, of type `dtype` (IST_F32, IST_BF16);
 * arithmetic is float32, sums are float64. Weights, gradients of weights, statistics, logits and losses are float32.
 * With the same number of threads a call gives the same bits every time. Input and output may be the same buffer where
 * the element at one place depends on that place only (said as "in place allowed"); else they must not overlap.
 */
#ifndef ISTHMUS_H
#define ISTHMUS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define IST_API __attribute__((visibility("default")))

enum { IST_OK = 0, IST_INVALID_ARGUMENT = 1, IST_OUT_OF_MEMORY = 2 };

/* Element types. IST_F16 is for ist_convert only. */
enum { IST_F32 = 0, IST_BF16 = 1, IST_F16 = 2 };

/* Activations that a normalisation may end with: z; max(z, 0); z / (1 + exp(-z)). */
enum { IST_NONE = 0, IST_RELU = 1, IST_SILU = 2 };

/* The text of the calling thread's last failure; valid until its next one. */
IST_API const char *ist_last_error(void);

/* The instruction set in use: "avx512", "avx2" or "plain"; the variable ISTHMUS_ISA may ask for a lower one. */
IST_API const char *ist_isa(void);

/* ---- Optimizers: one fused pass over n elements of weights p and gradients g (as torch.optim) ---- */

typedef struct ist_sgd_options {
    double lr, momentum, dampening, weight_decay;
    double gradient_scale; /* every gradient is multiplied by it first, as by the factor of ist_clip_factor */
    int64_t step;          /* counted from 1 */
    int64_t nesterov;      /* 0 or 1 */
} ist_sgd_options;

/* g' = gradient_scale g + weight_decay p; m = step 1 ? g' : momentum m + (1 - dampening) g';
 * p -= lr (nesterov ? g' + momentum m : m). m may be NULL if momentum is 0: p -= lr g'. */
IST_API int ist_sgd(const ist_sgd_options *options, float *p, const float *g, float *m, int64_t n);

typedef struct ist_adam_options {
    double lr, beta1, beta2, epsilon, weight_decay;
    double gradient_scale;
    int64_t step;      /* counted from 1 */
    int64_t decoupled; /* 1: AdamW, p *= 1 - lr weight_decay; 0: Adam, g' += weight_decay p */
} ist_adam_options;

/* m += (1 - beta1) (g' - m); v = beta2 v + (1 - beta2) g'^2; p -= lr / (1 - beta1^step) m / (sqrt(v^) + epsilon)
 * with v^ = v / (1 - beta2^step). vmax: NULL, or the running maximum of v taken in its place (AMSGrad). */
IST_API int ist_adam(const ist_adam_options *options, float *p, const float *g, float *m, float *v, float *vmax,
                     int64_t n);

/* g += mu (p - p0): the gradient of FedProx's proximal term (Li et al. 2020). */
IST_API int ist_proximal(float *g, const float *p, const float *p0, float mu, int64_t n);

/* *sum = sum of x^2. The bits do not depend on the number of threads. */
IST_API int ist_sum_of_squares(const float *x, int64_t n, double *sum);

/* *count = how many elements are infinite or no number. */
IST_API int ist_count_nonfinite(const float *x, int64_t n, int64_t *count);

/* Both in one pass: *sum = sum of x^2, *count = how many elements are infinite or no number (then *sum is, too). The bits
 * do not depend on the number of threads. */
IST_API int ist_gradient_norm(const float *x, int64_t n, double *sum, int64_t *count);

/* y += t (x - y): one step of an exponential moving average of decay 1 - t. */
IST_API int ist_average(float *y, const float *x, float t, int64_t n);

/* *factor = min(1, max_norm / (sqrt(*sum_of_squares) + 1e-6)), as torch.nn.utils.clip_grad_norm_. */
IST_API int ist_clip_factor(const double *sum_of_squares, double max_norm, double *factor);

/* ---- Weight buffers ---- */

/* out = base + sum over j of weights[j] updates[j], summed in float64 in the order of j. out may be base. */
IST_API int ist_fold(const float *base, const float *const *updates, const double *weights, int64_t k, float *out,
                     int64_t n);

/* y = a - b; in place allowed. */
IST_API int ist_difference(const float *a, const float *b, float *y, int64_t n);

/* y += factor x. */
IST_API int ist_axpy(float factor, const float *x, float *y, int64_t n);

/* Copies n bytes, on all threads. */
IST_API int ist_copy(const void *x, void *y, int64_t n);

/* ---- Element types ---- */

/* y = x in another type, rounded to nearest, ties to even; a NaN stays one. In place allowed between equal sizes. */
IST_API int ist_convert(int from, const void *x, int to, void *y, int64_t n);

/* Every element becomes value. */
IST_API int ist_fill(int dtype, void *y, float value, int64_t n);

/* ---- Element by element; in place allowed ---- */

/* y = max(x, 0); a NaN stays one. */
IST_API int ist_relu(int dtype, const void *x, void *y, int64_t n);

/* dx = y > 0 ? dy : 0, from the forward result y. */
IST_API int ist_relu_backward(int dtype, const void *y, const void *dy, void *dx, int64_t n);

/* y = a + b. */
IST_API int ist_add(int dtype, const void *a, const void *b, void *y, int64_t n);

/* y = factor x. */
IST_API int ist_scale(int dtype, const void *x, float factor, void *y, int64_t n);

/* y = max(a + b, 0). Its backward is ist_relu_backward, once, for both. */
IST_API int ist_add_relu(int dtype, const void *a, const void *b, void *y, int64_t n);

/* y = 1 / (1 + exp(-x)), and dx = dy y (1 - y) from the forward result y. */
IST_API int ist_sigmoid(int dtype, const void *x, void *y, int64_t n);
IST_API int ist_sigmoid_backward(int dtype, const void *y, const void *dy, void *dx, int64_t n);

/* y = x s with s = 1 / (1 + exp(-x)), and dx = dy s (1 + x (1 - s)) from the input x. */
IST_API int ist_silu(int dtype, const void *x, void *y, int64_t n);
IST_API int ist_silu_backward(int dtype, const void *x, const void *dy, void *dx, int64_t n);

/* y = keep ? x / (1 - p) : 0. Whether element i stays depends on (state[0] = seed, state[1] = step, op, i) alone
 * (splitmix64), so the backward pass is the same call on dy. 0 <= p < 1. */
IST_API int ist_dropout(int dtype, const void *x, void *y, float p, const int64_t *state, int op, int64_t n);

/* The same for n samples of `size` elements, each kept or dropped as a whole. */
IST_API int ist_stochastic_depth(int dtype, const void *x, void *y, float p, const int64_t *state, int op, int64_t n,
                                 int64_t size);

/* ---- Channels ---- */

/* y[r,j] = x[r,j]: c columns of rows that are ldx apart, to rows that are ldy apart. */
IST_API int ist_copy_columns(int dtype, const void *x, int64_t ldx, void *y, int64_t ldy, int64_t rows, int64_t c);

/* y[i,r,j] = x[i,r,j] s[i,j] for n samples of `rows` rows; in place allowed. */
IST_API int ist_scale_channels(int dtype, const void *x, const void *s, void *y, int64_t n, int64_t rows, int64_t c);

/* dx[i,r,j] = dy[i,r,j] s[i,j]; ds[i,j] = sum over r of dy[i,r,j] x[i,r,j]. Bits do not depend on the number of threads;
 * dx may be x or dy. */
IST_API int ist_scale_channels_backward(int dtype, const void *x, const void *s, const void *dy, void *dx, void *ds,
                                        int64_t n, int64_t rows, int64_t c);

/* ---- Batch normalisation (Ioffe and Szegedy 2015); rows of x are ldx >= c apart, of dx lddx, of add
 * ldadd, all others ldy >= c ---- */

/* mean[j], variance[j] (biased) over the rows. */
IST_API int ist_channel_statistics(int dtype, const void *x, int64_t ldx, int64_t rows, int64_t c, float *mean,
                                   float *variance);

/* running += momentum (batch - running), with the unbiased variance over `count` elements a channel. */
IST_API int ist_update_statistics(const float *mean, const float *variance, float *running_mean,
                                  float *running_variance, float momentum, int64_t count, int64_t c);

/* z = (x - mean) / sqrt(variance + epsilon) gamma + beta (+ residual); y = activation(z).
 * Training: with the batch's statistics. Evaluation: with the running ones. residual may be NULL. */
IST_API int ist_batch_norm(int dtype, const void *x, int64_t ldx, const float *mean, const float *variance,
                           const float *gamma, const float *beta, float epsilon, const void *residual, int activation,
                           void *y, int64_t ldy, int64_t rows, int64_t c);

/* dz = dy activation'(z); h = (x - mean) / sqrt(variance + epsilon); dbeta = sum dz; dgamma = sum dz h;
 * dx = gamma / sqrt(variance + epsilon) (dz - dbeta / rows - h dgamma / rows); dresidual = dz.
 * y: for ReLU, the forward result, whose sign tells the slope; NULL: z is made again from x, if there was no residual.
 * dx and dresidual may be NULL (not wanted). frozen 1: mean and variance were constants, so
 * dx = gamma / sqrt(variance + epsilon) dz. add, if not NULL, is added to dx. dx may be add; one of dx and dresidual may be
 * dy. */
IST_API int ist_batch_norm_backward(int dtype, const void *x, int64_t ldx, const void *y, const void *dy, int64_t ldy,
                                    const float *mean, const float *variance, const float *gamma, const float *beta,
                                    float epsilon, int activation, int frozen, void *dx, int64_t lddx,
                                    const void *add, int64_t ldadd, float *dgamma, float *dbeta, void *dresidual,
                                    int64_t rows, int64_t c);

/* Batch normalisation that another kernel does while it reads its input: activation((x - mean) / sqrt(variance + epsilon) gamma +
 * beta), numbers a channel, rounded to bf16; the same bits as ist_batch_norm. */
typedef struct ist_norm {
    const float *mean, *variance, *gamma, *beta; /* [c] */
    double epsilon;
    int64_t activation; /* IST_NONE or IST_RELU */
} ist_norm;

/* The backward pass of an ist_norm, by the kernel that makes the gradient of its result while it writes it. With dz as for
 * ist_batch_norm_backward and a = gamma / sqrt(variance + epsilon): dx = add + a dz. What needs sums over the whole batch is
 * owed: the gradient is dx + slope x + shift, numbers a channel, and ist_settle makes it of them. What add owed is owed on:
 * slope = slope_before - a / sqrt(variance + epsilon) dgamma / rows,
 * shift = shift_before - a dbeta / rows + a / sqrt(variance + epsilon) dgamma / rows mean. */
typedef struct ist_norm_gradient {
    ist_norm norm;
    const void *x; /* what was normalised, bf16, rows ldx apart */
    int64_t ldx;
    const void *add; /* bf16, rows ldadd apart; may be dx; NULL: none */
    int64_t ldadd;
    const float *slope_before, *shift_before;   /* [c], or both NULL */
    float *slope, *shift, *dgamma, *dbeta;      /* [c] */
} ist_norm_gradient;

/* What a gradient d is owed still: the gradient is d + slope x + shift, numbers a channel; see ist_norm_gradient. */
typedef struct ist_owed {
    const void *x; /* bf16, rows ldx apart */
    int64_t ldx;
    const float *slope, *shift;
} ist_owed;

/* y = x slope + shift + d, in float32: x, d and y of type dtype, rows ldx, ldd and ldy apart. y may be d. */
IST_API int ist_settle(int dtype, const void *d, int64_t ldd, const void *x, int64_t ldx, const float *slope,
                       const float *shift, void *y, int64_t ldy, int64_t rows, int64_t c);

/* ---- Batch normalisation and activation A before squeeze-and-excitation; A is made again from x and lies nowhere. n samples
 * of `rows` rows of c channels, end to end. Bits do not depend on the number of threads. ---- */

/* p[i,j] = mean over the rows of sample i of A; or, with dy, the sum over them of dy A. */
IST_API int ist_norm_means(int dtype, const void *x, const void *dy, const float *mean, const float *variance,
                           const float *gamma, const float *beta, float epsilon, int activation, void *p, int64_t n,
                           int64_t rows, int64_t c);

/* y[i,r,j] = A[i,r,j] s[i,j]. */
IST_API int ist_norm_scaled(int dtype, const void *x, const float *mean, const float *variance, const float *gamma,
                            const float *beta, float epsilon, int activation, const void *s, void *y, int64_t n,
                            int64_t rows, int64_t c);

/* As ist_batch_norm_backward, where dy s + dp / rows reaches A: through its products with s and through its means. dx may
 * be dy. */
IST_API int ist_norm_scaled_backward(int dtype, const void *x, const void *dy, const float *mean, const float *variance,
                                     const float *gamma, const float *beta, float epsilon, int activation,
                                     const void *s, const void *dp, void *dx, float *dgamma, float *dbeta, int64_t n,
                                     int64_t rows, int64_t c);

/* ---- Group normalisation (Wu and He 2018); rows of x are ldx >= c apart, of dx lddx, of add ldadd, all others
 * ldy >= c; n samples of `rows` rows each; groups divides c; mean and variance [n, groups]. Bits do not depend on the number of threads. ---- */

/* mean, variance (biased) of each sample's group of channels; z = (x - mean) / sqrt(variance + epsilon) gamma + beta
 * (+ residual); y = activation(z). residual may be NULL. */
IST_API int ist_group_norm(int dtype, const void *x, int64_t ldx, const float *gamma, const float *beta, float epsilon,
                           const void *residual, int activation, void *y, int64_t ldy, float *mean, float *variance,
                           int64_t n, int64_t rows, int64_t c, int64_t groups);

/* The same y, bit for bit, from the mean and variance that ist_group_norm has written. */
IST_API int ist_group_norm_again(int dtype, const void *x, int64_t ldx, const float *mean, const float *variance,
                                 const float *gamma, const float *beta, float epsilon, const void *residual,
                                 int activation, void *y, int64_t ldy, int64_t n, int64_t rows, int64_t c, int64_t groups);

/* dz = dy activation'(z); h = (x - mean) / sqrt(variance + epsilon); dbeta = sum dz; dgamma = sum dz h;
 * dx = (gamma dz - mean of gamma dz - h mean of gamma dz h) / sqrt(variance + epsilon), the means over the group;
 * dresidual = dz. y, dx, add and dresidual as in ist_batch_norm_backward. */
IST_API int ist_group_norm_backward(int dtype, const void *x, int64_t ldx, const void *y, const void *dy, int64_t ldy,
                                    const float *mean, const float *variance, const float *gamma, const float *beta,
                                    float epsilon, int activation, void *dx, int64_t lddx, const void *add,
                                    int64_t ldadd, float *dgamma, float *dbeta, void *dresidual, int64_t n, int64_t rows, int64_t c, int64_t groups);

/* ---- Windows: pooling and convolution over depth, height, width; in two dimensions depth is 1 ---- */

typedef struct ist_window {
    int64_t batch, channels, out_channels, groups; /* pooling: out_channels and groups are not read */
    int64_t in[3], out[3];
    int64_t kernel[3], stride[3], padding[3], dilation[3]; /* padding: at the start; dilation: 1 = dense */
} ist_window;

/* x [batch,in,c] -> y [batch,out,c]; position [batch,out,c]: where in the window the maximum (the first of equals) was,
 * or NULL. At most 256 positions. Padding never wins; a NaN does. */
IST_API int ist_max_pool(int dtype, const ist_window *window, const void *x, void *y, uint8_t *position);

/* dx [batch,in,c] from dy and the positions. */
IST_API int ist_max_pool_backward(int dtype, const ist_window *window, const void *dy, const uint8_t *position,
                                  void *dx);

/* The mean of each window, zeros of the padding included. */
IST_API int ist_avg_pool(int dtype, const ist_window *window, const void *x, void *y);
IST_API int ist_avg_pool_backward(int dtype, const ist_window *window, const void *dy, void *dx);

/* ist_avg_pool of windows of 2 x 2 without padding, over a normalised value that is nowhere in memory, in bf16: positions of x are
 * ldx apart, channels come in multiples of 32; on processors with AVX-512 BF16; else IST_INVALID_ARGUMENT. The same bits as
 * ist_batch_norm and ist_avg_pool. */
IST_API int ist_norm_avg_pool(const ist_window *window, const void *x, int64_t ldx, const ist_norm *norm, void *y);
/* Its gradient through the norm; dx's positions are lddx apart. */
IST_API int ist_norm_avg_pool_backward(const ist_window *window, const void *dy, void *dx, int64_t lddx,
                                       const ist_norm_gradient *gradient);

/* The same for ist_max_pool of windows of 3 x 3, two apart, with padding of 1, on planes of even edges, after a norm with ReLU;
 * positions of y are ldy apart. */
IST_API int ist_norm_max_pool(const ist_window *window, const void *x, int64_t ldx, const ist_norm *norm, void *y,
                              int64_t ldy, uint8_t *position);
IST_API int ist_norm_max_pool_backward(const ist_window *window, const void *dy, const uint8_t *position, void *dx,
                                       int64_t lddx, const ist_norm_gradient *gradient);

/* y [n,c] = mean over s of x [n,s,c]; and dx = dy / s. */
IST_API int ist_global_avg_pool(int dtype, const void *x, void *y, int64_t n, int64_t s, int64_t c);
IST_API int ist_global_avg_pool_backward(int dtype, const void *dy, void *dx, int64_t n, int64_t s, int64_t c);

/* Upsampling to a larger size (of the window batch, channels, in and out are read): y [batch,out,c] from x [batch,in,c]. At
 * output position o of an axis: nearest, x[floor(o in / out)]; linear, between half-pixel centres, x at
 * max((o + 0.5) in / out - 0.5, 0), held beyond the last. Backward gathers, so its bits do not depend on the threads. */
IST_API int ist_upsample(int dtype, const ist_window *window, int linear, const void *x, void *y);
IST_API int ist_upsample_backward(int dtype, const ist_window *window, int linear, const void *dy, void *dx);

/* Direct convolution for shapes that have no faster way: x [batch,in,channels], w [out_channels,channels/groups,kernel]
 * float32, bias [out_channels] or NULL, y [batch,out,out_channels]. The bias has the gradient ist_column_sum of dy. */
IST_API int ist_conv(int dtype, const ist_window *window, const void *x, const float *w, const float *bias, void *y);
IST_API int ist_conv_backward_data(int dtype, const ist_window *window, const void *dy, const float *w, void *dx);
IST_API int ist_conv_backward_weights(int dtype, const ist_window *window, const void *x, const void *dy, float *dw);

/* The same for one channel in and out a group: groups = channels = out_channels, at most 512 taps, and along the last axis
 * no dilation if there is a stride. w [channels,1,kernel] float32; the bias has the gradient ist_column_sum of dy. */
IST_API int ist_depthwise(int dtype, const ist_window *window, const void *x, const float *w, const float *bias,
                          void *y);
IST_API int ist_depthwise_backward_data(int dtype, const ist_window *window, const void *dy, const float *w, void *dx);
IST_API int ist_depthwise_backward_weights(int dtype, const ist_window *window, const void *x, const void *dy,
                                           float *dw);

/* Forward convolution of one group in float32, with sums that are precise to a few roundings however many terms they have;
 * arguments as ist_conv. scratch: `bytes` of memory for the time of the call, at least what conv_dense_scratch says for one
 * thread; with less than for all threads fewer work. Bits do not depend on threads. An infinite sum becomes a NaN. */
IST_API int ist_conv_dense_scratch(const ist_window *window, int64_t threads, int64_t *bytes);
IST_API int ist_conv_dense(const ist_window *window, const float *x, const float *w, const float *bias, float *y,
                           void *scratch, int64_t bytes);

/* Convolution of one to four channels in bf16, as a network's first one: y [batch,out,out_channels] bf16 of x [batch,in,channels]
 * bf16, w as ist_conv, rounded to bf16; two dimensions (depth 1), one group, kernels up to 7x7, strides up to 2, no dilation,
 * output channels in multiples of 32; on processors with AVX-512 BF16; else IST_INVALID_ARGUMENT. mean and variance
 * [out_channels] of y, as ist_channel_statistics gives them, or both NULL. An x that is no finite number may spoil outputs beside
 * its windows, too. scratch as ist_conv_dense. y's bits do not depend on threads. */
IST_API int ist_conv_stem_scratch(const ist_window *window, int64_t threads, int64_t *bytes);
IST_API int ist_conv_stem(const ist_window *window, const void *x, const float *w, void *y, float *mean, float *variance,
                          void *scratch, int64_t bytes);

/* Its weight gradient: dw as ist_conv_backward_weights gives it. owed: what dy is owed, or NULL; the bits are those of ist_settle
 * and this without, and do not depend on threads. */
IST_API int ist_conv_stem_backward_weights_scratch(const ist_window *window, int64_t threads, int64_t *bytes);
IST_API int ist_conv_stem_backward_weights(const ist_window *window, const void *x, const void *dy, const ist_owed *owed,
                                           float *dw, void *scratch, int64_t bytes);

/* Convolution with one tap, in bf16: y [pixels,k] = norm(x) w' + bias. x bf16 [pixels,c], rows ldx apart; norm NULL: x as it is;
 * w float32 [k,c], rounded to bf16; bias float32 [k] or NULL; y bf16, rows ldy apart; mean and variance [k] of y, as
 * ist_channel_statistics gives them, or both NULL; c and k multiples of 32. On processors with AVX-512 BF16; else
 * IST_INVALID_ARGUMENT. scratch as ist_conv_dense. y's bits do not depend on threads. */
IST_API int ist_pointwise_scratch(int64_t pixels, int64_t c, int64_t k, int64_t threads, int64_t *bytes);
IST_API int ist_pointwise(const void *x, int64_t ldx, const ist_norm *norm, const float *w, const float *bias, void *y,
                          int64_t ldy, float *mean, float *variance, int64_t pixels, int64_t c, int64_t k, void *scratch,
                          int64_t bytes);

/* Its data gradient: dx bf16 [pixels,c], rows lddx apart, = dy [pixels,k] w; gradient: of the norm that x went through, or
 * NULL. owed: what dy is owed, or NULL; the bits are those of ist_settle and this without. c and k multiples of 32. */
IST_API int ist_pointwise_backward_data_scratch(int64_t pixels, int64_t c, int64_t k, int64_t threads, int64_t *bytes);
IST_API int ist_pointwise_backward_data(const void *dy, const ist_owed *owed, const float *w, void *dx, int64_t lddx,
                                        const ist_norm_gradient *gradient, int64_t pixels, int64_t c, int64_t k,
                                        void *scratch, int64_t bytes);

/* Its weight gradient: dw [k,c] float32 = sum over pixels of dy [pixels,k] times norm(x), both bf16; owed as for
 * the data gradient. Any c and k. */
IST_API int ist_pointwise_backward_weights_scratch(int64_t pixels, int64_t c, int64_t k, int64_t threads, int64_t *bytes);
IST_API int ist_pointwise_backward_weights(const void *x, int64_t ldx, const ist_norm *norm, const void *dy,
                                           const ist_owed *owed, float *dw, int64_t pixels, int64_t c, int64_t k,
                                           void *scratch, int64_t bytes);

/* Forward convolution of one group in bf16 by Winograd's F(2x2,3x3): kernel [d,3,3], no stride, no dilation, channels in and
 * out in multiples of 32, on processors with AVX-512 BF16; else IST_INVALID_ARGUMENT. Arguments as ist_conv. turned: w is
 * [channels,out_channels,kernel] and its taps are read backwards, which makes it the data gradient of the convolution with
 * w, of a window from dy to dx whose padding is kernel - 1 - padding. x's and y's pixels lie ldx and ldy elements apart.
 * norm, unless NULL: x goes through it, with zeros beside the picture; or owed, unless NULL: what x is owed, with the bits of
 * ist_settle and this without. gradient, unless NULL: what would be written flows, not rounded yet, through
 * it, and y is its dx; else mean and variance [out_channels] of y may be wanted, as ist_channel_statistics gives them, or both
 * are NULL. scratch as ist_conv_dense. Bits do not depend on threads. */
IST_API int ist_winograd_scratch(const ist_window *window, int64_t threads, int64_t *bytes);
IST_API int ist_winograd(const ist_window *window, const void *x, int64_t ldx, const ist_norm *norm, const ist_owed *owed,
                         const float *w, int turned, const float *bias, void *y, int64_t ldy, float *mean, float *variance,
                         const ist_norm_gradient *gradient, void *scratch, int64_t bytes);
/* Gradient of the weights by the same algorithm, for the same windows with at most 7 taps of depth: dw as
 * ist_conv_backward_weights gives it, from bf16 x and dy whose pixels are ldx and lddy elements apart; from norm(x) unless norm
 * is NULL, with zeros beside the picture; owed: what dy is owed, or NULL. Tiles are rounded to bf16 once transformed, and summed in float32. scratch as ist_conv_dense. Bits do not depend on threads. */
IST_API int ist_winograd_weights_scratch(const ist_window *window, int64_t threads, int64_t *bytes);
IST_API int ist_winograd_weights(const ist_window *window, const void *x, int64_t ldx, const ist_norm *norm,
                                 const void *dy, int64_t lddy, const ist_owed *owed, float *dw, void *scratch,
                                 int64_t bytes);

/* ---- Losses on float32 logits [n,c]; gradient [n,c] may be NULL ---- */

/* Mean of -log softmax at the label; rows with a negative label contribute nothing, and none left gives 0. */
IST_API int ist_cross_entropy(const float *logits, const int32_t *labels, float *loss, float *gradient, int64_t n,
                              int64_t c);

/* Mean over known labels (>= 0) of w y softplus(-x) + (1 - y) softplus(x); unknown ones (negative) contribute nothing,
 * and none known gives 0. positive_weights: w, [c], or NULL for 1. */
IST_API int ist_bce_with_logits(const float *logits, const float *labels, const float *positive_weights, float *loss,
                                float *gradient, int64_t n, int64_t c);

/* Focal loss (Lin et al. 2017): mean over known labels (>= 0) of alpha w (1 - p)^gamma (-log p), p the probability of the
 * label as it is; w = positive_weights[column] (1 if NULL) for labels above 0, else 1. Unknown ones contribute nothing, and
 * none known gives 0. */
IST_API int ist_focal(const float *logits, const float *labels, const float *positive_weights, double gamma,
                      double alpha, float *loss, float *gradient, int64_t n, int64_t c);

/* Softmax Dice plus cross-entropy on logits [n,s,c], labels [n,s]. With p the softmax and t the label's one-hot form: the mean
 * over samples and classes (without class 0 unless include_background) of
 * 1 - (2 sum p t + smooth) / (sum p + sum t + smooth), sums over s, plus the mean of -log p at the labels. Positions with a
 * negative label contribute nothing. The bits do not depend on the number of threads; gradient may be NULL. */
IST_API int ist_dice_ce(const float *logits, const int32_t *labels, float smooth, int include_background, float *loss,
                        float *gradient, int64_t n, int64_t s, int64_t c);

/* Mean of |d| < beta ? d^2 / (2 beta) : |d| - beta / 2, with d = x - target; beta 0 is the absolute difference. */
IST_API int ist_smooth_l1(const float *x, const float *target, float beta, float *loss, float *gradient, int64_t n);

/* A detector's joined maps, [batch, length]: of each level the class map [anchors * classes, positions], then of each level the
 * box map [anchors * codes, positions]; an anchor's number is (positions of the levels before + position) * anchors + a. */
typedef struct ist_detection {
    int64_t batch, levels, anchors, classes, codes; /* anchors at a position, less than 2^24 in all; at most 8 levels */
    int64_t positions[8];
    int64_t capacity;                 /* rows of targets a sample */
    int64_t samples, least_negatives; /* anchors that are classified in a sample; and of them at least not matched */
    double positive_fraction, pool;   /* of the samples matched; hardest negatives to draw one from */
    double beta, class_weight, box_weight;
} ist_detection;

/* targets [batch, capacity, 2 + codes]: a matched anchor's number, its class and its box codes; a row with a negative number
 * ends a sample. Chosen are up to samples x positive_fraction matched anchors, drawn at random, and n others: n is the number
 * of the former (at least 1) times |1 - 1 / positive_fraction|, at least least_negatives, drawn from the pool x n others with
 * the greatest logits. class_weight times the mean binary cross-entropy of the chosen, plus box_weight times the mean of
 * smooth L1 (ist_smooth_l1) over all matched anchors' codes. state: as for ist_dropout. A NaN in a class map makes the loss
 * one. The bits do not depend on the number of threads; gradient may be NULL. */
IST_API int ist_detection_loss(const ist_detection *detection, const float *maps, const float *targets,
                               const int64_t *state, float *loss, float *gradient);

/* Row-wise softmax; in place allowed. */
IST_API int ist_softmax(const float *x, float *y, int64_t n, int64_t c);

/* ---- Pictures ---- */

/* Grey squares x [n, bytes] -> y [n,size,size,c]. A square takes 1072 + side^2 bytes and what is missing to a multiple of 16:
 * int64 place[6] in 2^-32 pixels (x and y of y's first point, then the steps of both from one column to the next, then from
 * one row to the next), float tone[256], uint8 pixel[side,side]. A point is the linear blend of the tones of the four pixels
 * around its place, which is moved to the nearest edge where it lies outside; y[..,j] = (blend - mean[j]) scale[j]. */
IST_API int ist_warp_affine(const uint8_t *x, int64_t side, int dtype, void *y, const float *mean, const float *scale,
                            int64_t n, int64_t size, int64_t c);

/* ---- Layout ---- */

/* x [n,s,c] -> y [n,c,s], and back; the types may differ. */
IST_API int ist_channels_first(int from, const void *x, int to, void *y, int64_t n, int64_t s, int64_t c);
IST_API int ist_channels_last(int from, const void *x, int to, void *y, int64_t n, int64_t s, int64_t c);

/* sum[j] = sum over the rows of x[r,j]; rows are ldx apart. */
IST_API int ist_column_sum(int dtype, const void *x, int64_t ldx, float *sum, int64_t rows, int64_t c);

/* y[r,j] = x[r,j] + bias[j]; in place allowed. */
IST_API int ist_add_bias(int dtype, const void *x, const float *bias, void *y, int64_t rows, int64_t c);

#ifdef __cplusplus
}
#endif
#endif
