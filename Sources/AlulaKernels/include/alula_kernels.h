// The kernels of Alula: stateless C functions that compute a range of output items.
//
// Contract of every kernel:
//  - void kernel(const void *args, size_t begin, size_t end, void *scratch) computes output items begin..<end, where an item is
//    what the args struct's comment says (a pixel, a row, a token, an element). Ranges of different threads never overlap.
//  - It allocates nothing, keeps no state and calls no library function. scratch is private to the calling thread, 64-byte aligned,
//    of at least the bytes that the family's alula_<family>_scratch(args) returns; families without such a function use none.
//  - Buffers that live in the arena may be read up to 64 bytes beyond their end (never written); so may weights and per-channel vectors, which the
//    file pads to 64 bytes.
//  - The scalar file is the definition; every instruction set gives the same bytes. All files are compiled with FP_CONTRACT OFF; fused
//    multiply-add appears only where the definition says fma, and then everywhere.
//
// Numbers: u8 activations (scale, zero point), s8 weights, i32 accumulators, f32 requantization with round-to-nearest-even:
//    quantize(t, zero, low, high) = clamp(rne(t) + zero, low, high), t finite, |t| may exceed the i32 range (it then saturates);
//    0 <= low <= high <= 255 and 0 <= zero <= 255.
//
// In place: binary_u8, table_u8, unary_f32, binary_f32, affine_f32 and the layer norms may write over an input; convolutions over their residual.
// Vectors by channel, f32 rows and attention biases are read up to 60 bytes beyond their end, even when their size is a multiple of 64.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef void (*alula_kernel)(const void *args, size_t begin, size_t end, void *scratch);

// Axes of the strided kernels.
#define ALULA_MAXIMUM_RANK 8

// ---- Convolution and linear layers -------------------------------------------------------------------------------------------

// Where the input of each output pixel lies. A linear layer over M rows is a 1x1 convolution with in_h = out_h = 1 and in_w = out_w = M;
// a 1-D convolution has in_h = kernel_h = 1. NHWC.
typedef struct {
    int32_t batch, in_h, in_w, out_h, out_w;
    int32_t in_c, out_c;          // channels in all groups together
    int32_t groups;               // in_c / groups channels feed out_c / groups
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w;
} alula_window;

// int8 convolution. Items: output pixels, batch * out_h * out_w.
//   acc = bias[n] + sum over taps and channels of u8 * s8 (padding reads pad_row), exact in i32
//   t   = f32(acc) * multiplier[n]
//   t   = t + f32(residual - residual_zero) * residual_multiplier                    if residual
//   out = t                                                                            if output_f32
//   out = quantize(t, zero, low, high), then out = table[out] if table                  otherwise
// weight: packed [groups][ceil(N/16)][Kp/4][16][4] where N = out_c / groups, each tap's channels padded with zeros to a multiple of 4
// (Kp = kernel_h * kernel_w * round4(in_c / groups), taps outer in y, x order); N padded with zeros to a multiple of 16.
// bias and multiplier: [groups * round16(N)] (padded entries 0); 64-byte aligned, as is weight. output row stride is out_c elements.
// residual has the layout of the output and may be the same memory. low/high hold activation clamps (relu: low = zero).
typedef struct {
    alula_window window;
    const uint8_t *input;
    const int8_t *weight;
    const int32_t *bias;
    const float *multiplier;
    const uint8_t *table;         // 256 entries or NULL; never together with residual or output_f32
    const uint8_t *residual;      // or NULL
    const uint8_t *pad_row;       // round4(in_c) + 64 bytes holding the input's zero point
    uint8_t *output;              // or NULL when output_f32 is set
    float *output_f32;            // or NULL
    int32_t zero, low, high;
    int32_t residual_zero;
    float residual_multiplier;
    int32_t bounded;              // not 0: |t| < 2^31 for every input, so that a kernel may round t to i32 as it is
} alula_conv_u8s8_args;
size_t alula_conv_u8s8_scratch(const alula_conv_u8s8_args *args);

// int8 depthwise convolution, groups = in_c = out_c. Items: output rows, batch * out_h.
// weight: [kernel_h * kernel_w][round16(C)] s8; otherwise as alula_conv_u8s8 (bias, multiplier [round16(C)]).
// The same args struct; residual is allowed.
size_t alula_depthwise_u8s8_scratch(const alula_conv_u8s8_args *args);

// int8 transposed depthwise convolution with the kernel as stride and no padding: each output pixel has one input pixel and one tap. Items: output
// rows, batch * out_h. weight as depthwise; acc = bias[c] + (input[c] - pad_row[c]) * weight[tap][c], then as alula_conv_u8s8. (The zero point's part
// depends on the tap, so the bias cannot hold it.)

// Two int8 convolutions in a row, as one call that keeps only a band of rows between them (in scratch). The second one's input is the first one's
// output, and both pointers are ignored; `depthwise` says that the second is a depthwise one. Items: output rows of the second, batch * out_h.
// The output is u8 and may be the memory of the second one's residual; of the first one's input only if the second has kernel and stride 1.
// An MLP's rows are an image of width 1.
typedef struct { alula_conv_u8s8_args first, second; int32_t depthwise; } alula_pair_u8_args;
size_t alula_pair_u8_scratch(const alula_pair_u8_args *args);
// The most output rows in a band of a pair whose second convolution has this window.
size_t alula_pair_u8_rows(const alula_window *second);

// Activation functions that f32 kernels apply to their result, and that alula_unary_f32 computes.
typedef enum {
    ALULA_NONE = 0, ALULA_RELU, ALULA_GELU, ALULA_GELU_TANH, ALULA_SILU, ALULA_SIGMOID, ALULA_TANH, ALULA_HARD_SWISH, ALULA_HARD_SIGMOID,
    ALULA_RELU6, ALULA_EXP, ALULA_LOG, ALULA_SQRT, ALULA_RSQRT, ALULA_RECIPROCAL, ALULA_NEGATE, ALULA_ABS, ALULA_ERF, ALULA_SIN, ALULA_COS,
    ALULA_TAN, ALULA_ASIN, ALULA_ACOS, ALULA_ATAN, ALULA_SINH, ALULA_COSH, ALULA_ASINH, ALULA_ACOSH, ALULA_ATANH, ALULA_FLOOR, ALULA_CEIL,
    ALULA_SIGN, ALULA_ROUND, ALULA_SOFTPLUS, ALULA_SOFTSIGN, ALULA_MISH,
    // With parameters, which alula_unary_f32 alone takes:
    ALULA_SWISH, ALULA_LEAKY_RELU, ALULA_ELU, ALULA_THRESHOLDED_RELU, ALULA_SHRINK, ALULA_CLIP
} alula_unary;

// f32 convolution. Items: output pixels. acc = bias[n], then acc = fma(x, w, acc) over taps (y, x outer) and channels in order; taps in the
// padding contribute fma(0, w, acc). act, then + residual.
// weight: packed [groups][ceil(N/16)][K][16], K = kernel_h * kernel_w * in_c / groups; bias [groups * round16(N)] (NULL means 0).
typedef struct {
    alula_window window;
    const float *input, *weight, *bias, *residual;
    const float *pad_row;         // in_c zeros (and 64 bytes)
    float *output;
    int32_t activation;           // alula_unary
} alula_conv_f32_args;
size_t alula_conv_f32_scratch(const alula_conv_f32_args *args);

// f32 depthwise: weight [taps][round16(C)]. Items: output rows, batch * out_h. (conv_f32 args)

// Two f32 convolutions in a row, as alula_pair_u8.
typedef struct { alula_conv_f32_args first, second; int32_t depthwise; } alula_pair_f32_args;
size_t alula_pair_f32_scratch(const alula_pair_f32_args *args);
size_t alula_pair_f32_rows(const alula_window *second);

// f32 transposed convolution, weight [in_c][kernel_h][kernel_w][out_c / groups], any stride/groups. window's in_* is the (smaller) input, out_* the output;
// out[y * stride_h - pad_top + ky * dilation_h, ...] += in[y, ...] * w. Items: output pixels; summed in order of input taps ky, kx, channel. (conv_f32 args)

// ---- Matrix products of two activations ----------------------------------------------------------------------------------------

// f32 C[b, i, j] = alpha * sum_k fma(A[b, i, k], B[b, k, j]); B is [k][j], or [j][k] when transpose_b. Items: batch * m rows.
// Batch strides are in elements; 0 broadcasts. (The general batched case; more than one batch axis is folded by the caller.)
typedef struct {
    const float *a, *b;
    float *output;
    int32_t batch, m, n, k;
    int64_t a_batch, b_batch;
    int32_t transpose_b;
    float alpha;
} alula_matmul_f32_args;

// Attention, a head at a time: softmax(q k^T * qk_scale + bias) v. Items: batch * heads.
// Element (token, head, i) of q lies at q[b * tokens_q * q_stride + token * q_stride + head * q_head + i]; likewise k, v, and the output with
// o_stride, o_head. bias: f32 [bias_heads][tokens_q][tokens_k], bias_heads = heads or 1, or NULL. mask_windows: bias index is
// (item / heads) % bias_batch first when bias_batch > 1: bias [bias_batch][bias_heads][tokens_q][tokens_k].
typedef struct {
    int32_t batch, heads, tokens_q, tokens_k, key_dim, value_dim;
    int32_t q_stride, q_head, k_stride, k_head, v_stride, v_head, o_stride, o_head;
    int32_t bias_batch, bias_heads;
    const float *bias;
    float qk_scale;
} alula_attention_shape;

// f32: s[j] = fma-sum over i of q*k (in order), t[j] = s[j] * qk_scale + bias[j] (two roundings), m = max t, e[j] = exp(t[j] - m) (alula's polynomial),
// sum in order of j, o[d] = (sum over j in order of fma(e[j], v[j][d])) * (1 / sum).
typedef struct { alula_attention_shape shape; const float *q, *k, *v; float *output; } alula_attention_f32_args;
size_t alula_attention_f32_scratch(const alula_attention_f32_args *args);

// u8: a[j] = sum (q - q_zero)(k - k_zero) exact i32; t[j] = f32(a[j]) * qk_scale + bias[j]; m = max t; u[j] = rne(exp(t[j] - m) * 255) in 0...255;
// S = sum u (exact); o[d] = sum u[j] * (v[j][d] - v_zero) exact; out = quantize(f32(o[d]) * (v_multiplier / f32(S)), zero, 0, 255).
typedef struct {
    alula_attention_shape shape;
    const uint8_t *q, *k, *v;
    uint8_t *output;
    int32_t q_zero, k_zero, v_zero, zero;
    float v_multiplier;           // scale of v / scale of the output
} alula_attention_u8_args;
size_t alula_attention_u8_scratch(const alula_attention_u8_args *args);

// ---- Normalization --------------------------------------------------------------------------------------------------------------

// u8 layer norm over the last axis of [rows, c], c <= 32768. Items: rows.
//   s1 = sum x, s2 = sum x*x (exact), n = c*s2 - s1*s1 (exact i64), v = f32(n) * variance_scale + epsilon, r = d_scale / sqrt(v),
//   out = quantize((f32(c*x - s1) * r) * gamma[i] + beta[i], zero, 0, 255)      (two roundings, no fma)
// variance_scale = scale^2 / c^2, d_scale = scale / c; gamma, beta are already divided by the output scale. v is positive: when n and epsilon are 0, out = quantize(beta).
typedef struct {
    const uint8_t *input; const float *gamma, *beta; uint8_t *output;
    int32_t rows, c, zero;
    float variance_scale, d_scale, epsilon;
} alula_layernorm_u8_args;

// f32 layer norm. Items: rows. mean = (sum in 8 interleaved partial sums: partial l adds x[l], x[l+8], ...; then ((p0+p1)+(p2+p3))+((p4+p5)+(p6+p7))) / c,
// variance likewise from (x - mean)^2 (mul, add), out = (x - mean) * (1 / sqrt(variance + epsilon)) * gamma + beta (two roundings at the end, no fma).
typedef struct { const float *input, *gamma, *beta; float *output; int32_t rows, c; float epsilon; } alula_layernorm_f32_args;

// f32 softmax over an axis viewed as [outer, n, inner]. Items: outer. sum in order of n, result e * (1 / sum).
typedef struct { const float *input; float *output; int32_t outer, n, inner; } alula_softmax_f32_args;

// f32 per-channel x * scale[c] + shift[c] (two roundings) over [rows, c], then the activation. Items: rows. Batch norm, layer scale.
typedef struct { const float *input, *scale, *shift; float *output; int32_t rows, c, activation; } alula_affine_f32_args;

// ---- Pooling --------------------------------------------------------------------------------------------------------------------

// Pool minus identity with scale and residual (EfficientFormer's mixer after folding): y = x + s[c] * (avg(x) - x), average over the taps inside the image.
// Window: size x size, stride 1, pad size/2. Items: rows, batch * h.
// u8: S = sum over taps inside of (x - zero_in) (exact), cnt = their count,
//   t = f32(x - zero_in) * center[c] + (f32(S) * inverse[cnt]) * average[c];  out = quantize(t, zero, 0, 255)
// center[c] = (1 - s[c]) * scale_in / scale_out, average[c] = s[c] * scale_in / scale_out, inverse[k] = 1.0f / k.
typedef struct {
    const uint8_t *input; const float *center, *average; uint8_t *output;
    int32_t batch, h, w, c, size, zero_in, zero;
} alula_pool_mixer_u8_args;
// f32: sum in y, x order; y = x + s * (sum * (1.0f / cnt) - x).
typedef struct { const float *input, *scale; float *output; int32_t batch, h, w, c, size; } alula_pool_mixer_f32_args;

// Average and max pooling; window.groups is ignored, in_c = out_c. Items: output rows, batch * out_h. Average divides by the taps inside the image,
// or by kernel_h * kernel_w when count_padding (padding counts as 0 then; taps beyond the padded image never count; pad_bottom/right tell where it ends).
// A window without a tap inside the image: the average of nothing is 0, the maximum 0 for u8 and -inf for f32; f32 maxima ignore NaN.
// u8 average: t = (f32(sum of (x - zero_in)) * inverse(cnt)) * multiplier, quantize. u8 max: the max byte (same scale in and out).
typedef struct {
    alula_window window; const uint8_t *input; uint8_t *output;
    int32_t maximum, count_padding, pad_bottom, pad_right, zero_in, zero; float multiplier;
} alula_pool_u8_args;
typedef struct {
    alula_window window; const float *input; float *output; int32_t maximum, count_padding, pad_bottom, pad_right;
} alula_pool_f32_args;

// Mean over the middle axis of [outer, n, inner]. Items: outer.
// u8: t = f32(sum (x - zero_in)) * multiplier, multiplier = scale_in / (n * scale_out) (or scale_in / n for output_f32, which then is t).
typedef struct {
    const uint8_t *input; uint8_t *output; float *output_f32; int32_t outer, n, inner, zero_in, zero; float multiplier;
} alula_mean_u8_args;

// ---- Reduction --------------------------------------------------------------------------------------------------------------------

typedef enum { ALULA_REDUCE_SUM = 0, ALULA_REDUCE_PRODUCT, ALULA_REDUCE_MAX, ALULA_REDUCE_MIN } alula_reduction;
// f32 elements along the reduced axes combined, for each index of the kept axes; strides in elements. The output is dense, [kept], and at least one axis
// of each kind is there. scale multiplies the result (1 / n for a mean). Items: blocks of up to 64 outputs along the last kept axis, for each index of the others.
// Where the last kept axis has stride 1, elements are combined one by one in order. Otherwise the last reduced axis has stride 1, and eight
// interleaved results run over it (result l takes its elements l, l + 8, ...), and over the other reduced axes in order; then
// ((r0+r1)+(r2+r3))+((r4+r5)+(r6+r7)). Maximum and minimum propagate NaN.
typedef struct {
    const float *input; float *output; float scale; int32_t function, kept_rank, reduced_rank;
    int32_t kept[ALULA_MAXIMUM_RANK], reduced[ALULA_MAXIMUM_RANK]; int64_t kept_strides[ALULA_MAXIMUM_RANK], reduced_strides[ALULA_MAXIMUM_RANK];
} alula_reduce_f32_args;

// The `count` largest (or smallest) of n along the middle axis of [outer, n, inner], best first, to values and indices [outer, count, inner]; of equals the
// first, or the last if prefers_last. A NaN is never better than a number. Items: outer. values may be NULL.
typedef struct {
    const float *input; float *values; int32_t *indices; int32_t outer, n, inner, count, smallest, prefers_last;
} alula_top_k_f32_args;

// Weighted sums along the middle axis of [outer, n, inner]: out[o, j, i] = sum over t < taps, in order, of weights[j, t] * x[o, index[j, t], i], every product
// and sum rounded. Items: outer * count, where j < count. index is checked before the run.
typedef struct {
    const float *input; float *output; const int32_t *index; const float *weights; int32_t n, inner, count, taps;
} alula_resample_f32_args;
// u8: the same with f32(x - zero_in) for x, then quantize(sum * multiplier, zero, 0, 255).
typedef struct {
    const uint8_t *input; uint8_t *output; const int32_t *index; const float *weights; int32_t n, inner, count, taps, zero_in, zero; float multiplier;
} alula_resample_u8_args;

// ---- Elementwise ----------------------------------------------------------------------------------------------------------------

// u8 sums (a difference has a negative b_multiplier) and products, with broadcast: strides in elements, along the last axis 0 or 1.
//   t = f32(a - a_zero) * a_multiplier + f32(b - b_zero) * b_multiplier, or (f32(a - a_zero) * f32(b - b_zero)) * a_multiplier if is_product;
//   out = quantize(t, zero, low, high). Items: elements of the output's axes but the last (rows).
typedef struct {
    const uint8_t *a, *b; uint8_t *output; int32_t a_zero, b_zero, zero, low, high; float a_multiplier, b_multiplier; int32_t is_product, rank;
    int32_t shape[ALULA_MAXIMUM_RANK]; int64_t a_strides[ALULA_MAXIMUM_RANK], b_strides[ALULA_MAXIMUM_RANK];
} alula_binary_u8_args;
typedef struct { const uint8_t *input, *table; uint8_t *output; } alula_table_u8_args;          // Items: elements
typedef struct { const float *input; uint8_t *output; float inverse_scale; int32_t zero; } alula_quantize_args;   // quantize(x * inverse_scale, zero, 0, 255); NaN gives zero. Items: elements
typedef struct { const uint8_t *input; float *output; float scale; int32_t zero; } alula_dequantize_args;         // f32(x - zero) * scale. Items: elements

// Scales of each run. The least and the greatest number of each block of ALULA_RANGE_BLOCK elements, 0 included and NaN left out: ranges[2 * block], and after it. Items: blocks.
enum { ALULA_RANGE_BLOCK = 16384 };
typedef struct { const float *input; float *ranges; size_t count; } alula_range_f32_args;
// low, high over all blocks; scale = (high - low) / 255, or 1 where both are 0; zero = rne(clamp(-low / scale, 0, 255));
// output = quantize(input / scale, zero, 0, 255); NaN gives zero. The call with item 0 writes scale and zero. Items: elements.
typedef struct { const float *input, *ranges; uint8_t *output; float *scale, *zero; int32_t blocks; } alula_dynamic_quantize_args;
// For a layer that reads such numbers: bias_result[c] = -zero * sums[c], multiplier_result[c] = scale * multiplier[c] (multiplier[c] if scale is NULL),
// pad_row[i] = zero. sums: of each output channel's weights. Items: one.
typedef struct {
    const float *zero, *scale, *multiplier; const int32_t *sums;
    int32_t *bias_result; float *multiplier_result; uint8_t *pad_row; int32_t count, pad_bytes;
} alula_dynamic_layer_args;
typedef struct { const float *input; float *output; int32_t function; float parameters[4]; } alula_unary_f32_args;   // Items: elements

typedef enum {
    ALULA_ADD = 0, ALULA_SUB, ALULA_MUL, ALULA_DIV, ALULA_MAX, ALULA_MIN, ALULA_POW, ALULA_EQUAL, ALULA_LESS, ALULA_LESS_EQUAL, ALULA_MOD, ALULA_FMOD,
    ALULA_PRELU
} alula_binary;
// Maximum and minimum propagate NaN; comparisons give 0 or 1. f32 binary with broadcast: strides in elements (0 broadcasts). Items: elements of the
// output's axes but the last (rows).
typedef struct {
    const float *a, *b; float *output; int32_t function, rank; int32_t shape[ALULA_MAXIMUM_RANK];
    int64_t a_strides[ALULA_MAXIMUM_RANK], b_strides[ALULA_MAXIMUM_RANK];
} alula_binary_f32_args;
// f32 condition != 0 ? a : b, with broadcast as above (NaN is not 0). Items: rows.
typedef struct {
    const float *condition, *a, *b; float *output; int32_t rank; int32_t shape[ALULA_MAXIMUM_RANK];
    int64_t condition_strides[ALULA_MAXIMUM_RANK], a_strides[ALULA_MAXIMUM_RANK], b_strides[ALULA_MAXIMUM_RANK];
} alula_select_f32_args;

// ---- Moving data ----------------------------------------------------------------------------------------------------------------

// Strided copy: transpose, slice, concatenation into a part of the output, broadcast, roll and pad by several copies.
// Strides in elements of element_bytes (1, 2, 4, 8). Items: elements of all axes but the last (rows). Output rows may be strided.
typedef struct {
    const void *input; void *output; int32_t element_bytes, rank; int32_t shape[ALULA_MAXIMUM_RANK];
    int64_t in_strides[ALULA_MAXIMUM_RANK], out_strides[ALULA_MAXIMUM_RANK];
} alula_copy_args;
// Fill: output[i] = the element at value. Items: elements.
typedef struct { void *output; int32_t element_bytes; uint8_t value[8]; } alula_fill_args;
// Gather over the middle axis of [outer, n, inner]: out[o, i, :] = in[o, index[i], :]; index is checked before the run. Items: outer * count.
typedef struct { const void *input; const int32_t *index; void *output; int32_t element_bytes, outer, n, inner, count; } alula_gather_args;

// ---- Gradients ------------------------------------------------------------------------------------------------------------------
// Sums over all rows of [rows, c] are made in chunks of ALULA_CHANNEL_ROWS rows: within a chunk in order of the rows, then over the chunks in
// order, in f64. So chunks are the items, and the number of threads does not matter.

enum { ALULA_CHANNEL_ROWS = 256, ALULA_GRADIENT_PIXELS = 256 };

// f32 weights' gradient of a convolution: out[o][tap][i] = sum over output pixels of dy[pixel][o] * x[under tap][i] (padding reads pad_row), i in the
// channels of o's group. Items: output channels. Output pixels in blocks of ALULA_GRADIENT_PIXELS: within a block a chain of fma from 0, then blocks are added in order.
typedef struct {
    alula_window window;
    const float *dy, *x;
    const float *pad_row;         // in_c zeros (and 64 bytes)
    float *output;                // [out_c][kernel_h][kernel_w][in_c / groups]
} alula_weight_gradient_f32_args;
size_t alula_weight_gradient_f32_scratch(const alula_weight_gradient_f32_args *args);

// The same for a depthwise convolution. Items: blocks of 16 channels. Chains of fma run over a row of output pixels (taps outside of the image
// take no part); rows are added in order.
size_t alula_depthwise_weight_gradient_f32_scratch(const alula_weight_gradient_f32_args *args);

// dy * f'(x). Items: elements. May write over dy or x.
typedef struct { const float *dy, *x; float *output; int32_t function; float parameters[4]; } alula_unary_gradient_f32_args;

// partial[chunk][i] = sum of a[row][i], or of a[row][i] * b[row][i] (b may be NULL). Items: chunks.
typedef struct { const float *a, *b; float *partial; int32_t rows, c; } alula_channel_sum_f32_args;
// output[i] = sum of partial[chunk][i]. Items: numbers, n of them.
typedef struct { const float *partial; float *output; int32_t chunks, n; } alula_channel_total_f32_args;

// partial[chunk][0][i] = mean of x[row][i], partial[chunk][1][i] = sum of squared deviations from it. Items: chunks.
typedef struct { const float *x; float *partial; int32_t rows, c; } alula_channel_moments_f32_args;
// Mean and variance of all rows, from those of the chunks (Chan, Golub and LeVeque, 1983). Items: channels.
typedef struct { const float *partial; float *mean, *variance; int32_t rows, c; } alula_channel_variance_f32_args;

// scale = gamma / sqrt(variance + epsilon), shift = beta - mean * scale. Items: channels.
typedef struct { const float *gamma, *beta, *mean, *variance; float *scale, *shift; float epsilon; } alula_batch_norm_scale_f32_args;
// g = dy * f'(x * scale + shift), f the activation; partial[chunk][0] = sum of g, partial[chunk][1] = sum of g * (x - mean). Items: chunks. May write g over dy.
typedef struct {
    const float *dy, *x, *scale, *shift, *mean; float *g, *partial; int32_t rows, c, activation;
} alula_batch_norm_sums_f32_args;
// From total[2][c], the sums over all rows: dbeta, dgamma, and the factors of dx = (g * factor[0] + (x - mean) * factor[1]) + factor[2], [3][c]. With
// is_constant the statistics do not depend on x, and only factor[0] is not 0. Items: channels.
typedef struct {
    const float *total, *gamma, *variance; float *dgamma, *dbeta, *factors; float epsilon; int32_t rows, c, is_constant;
} alula_batch_norm_factors_f32_args;
// dx as above. Items: rows. May write over g.
typedef struct { const float *g, *x, *mean, *factors; float *output; int32_t c; } alula_batch_norm_gradient_f32_args;

// Layer norm: dx, and partial[chunk][0] = sum of dy * normalized x, partial[chunk][1] = sum of dy. Items: chunks. May write over dy.
// Sums over a row in eight interleaved partial sums, as alula_layernorm_f32_args.
typedef struct { const float *dy, *x, *gamma; float *output, *partial; int32_t rows, c; float epsilon; } alula_layernorm_gradient_f32_args;

// Pools, x NULL for averages. Items: images.
typedef struct { alula_pool_f32_args pool; const float *dy, *x; float *output; } alula_pool_gradient_f32_args;

// Attention, a head at a time; strides of dq, dk, dv are those of q, k, v, those of dy the output's. scores: [batch][heads][tokens_q][tokens_k]. Items: batch * heads.
typedef struct {
    alula_attention_shape shape; const float *q, *k, *v, *dy; float *dq, *dk, *dv, *scores;
} alula_attention_gradient_f32_args;
size_t alula_attention_gradient_f32_scratch(const alula_attention_gradient_f32_args *args);

// ---- Dispatch ---------------------------------------------------------------------------------------------------------------------

// Of those that a CPU has, the highest is the best. SIMD128 is WebAssembly's.
typedef enum {
    ALULA_ISA_SCALAR = 0, ALULA_ISA_AVX2 = 1, ALULA_ISA_AVXVNNI = 2, ALULA_ISA_AVX512VNNI = 3, ALULA_ISA_NEON = 4, ALULA_ISA_NEONDOT = 5,
    ALULA_ISA_I8MM = 6, ALULA_ISA_SIMD128 = 7
} alula_isa;
enum { ALULA_ISA_COUNT = 8 };

// One entry a family; an ISA without its own version of a family holds the next lower one's.
typedef struct {
    alula_isa isa;
    const char *name;             // "scalar", "avx2", "avxvnni", "avx512vnni", "neon", "neondot", "i8mm", "simd128"
    alula_kernel conv_u8s8, depthwise_u8s8, conv_transpose_u8s8, pair_u8, attention_u8, layernorm_u8, pool_mixer_u8, pool_u8, mean_u8, binary_u8, table_u8, quantize, dequantize, range_f32,
        dynamic_quantize, dynamic_layer;
    alula_kernel conv_f32, depthwise_f32, conv_transpose_f32, pair_f32, matmul_f32, attention_f32, layernorm_f32, softmax_f32, affine_f32, pool_mixer_f32,
        pool_f32, reduce_f32, top_k_f32, resample_f32, resample_u8, unary_f32, binary_f32, select_f32;
    alula_kernel copy, fill, gather;
    alula_kernel weight_gradient_f32, depthwise_weight_gradient_f32, unary_gradient_f32, channel_sum_f32, channel_total_f32, channel_moments_f32,
        channel_variance_f32, batch_norm_scale_f32, batch_norm_sums_f32, batch_norm_factors_f32, batch_norm_gradient_f32, layernorm_gradient_f32,
        pool_gradient_f32, attention_gradient_f32;
} alula_kernel_table;

// The kernels of one instruction set, or NULL where this build or this CPU lacks it.
const alula_kernel_table *alula_kernels_for(alula_isa isa);
// The best that this CPU has.
const alula_kernel_table *alula_kernels_best(void);

// MACs a second of this CPU's best u8*s8 instruction sequence for the given ISA, measured for about `milliseconds` (clock: nanoseconds, monotonic).
double alula_measure_peak_u8s8(alula_isa isa, uint64_t (*clock)(void), double milliseconds);
// The same for f32.
double alula_measure_peak_f32(alula_isa isa, uint64_t (*clock)(void), double milliseconds);
// Bytes a second of one core that reads `bytes` of memory over and over: of a cache that holds them, else of main memory.
double alula_measure_read_bandwidth(const void *memory, size_t bytes, uint64_t (*clock)(void), double milliseconds);
