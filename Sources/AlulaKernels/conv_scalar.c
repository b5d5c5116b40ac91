// Scalar convolutions: the definition that every instruction set equals bit for bit.
#include "conv_internal.h"
#include "fma.h"
#include "unary.h"

#pragma STDC FP_CONTRACT OFF

// ---- int8 -------------------------------------------------------------------------------------------------------------------------

// clamp(rne(t) + zero, low, high). Beyond +-65536 the clamp decides alone (zero and the limits are bytes), and within it adding and
// subtracting 1.5 * 2^23 rounds to an integer in the default rounding mode: ties to even, without the math library.
static uint8_t quantize(float t, int32_t zero, int32_t low, int32_t high) {
    const float limited = t > 65536.0f ? 65536.0f : t < -65536.0f ? -65536.0f : t;
    const float shifted = limited + 12582912.0f;
    const int32_t q = (int32_t)(shifted - 12582912.0f) + zero;
    return (uint8_t)(q < low ? low : q > high ? high : q);
}

static void finish_u8s8(const alula_conv_u8s8_args *a, int32_t sum, float multiplier, size_t at) {
    float t = (float)sum * multiplier;
    if (a->residual) {
        const float r = (float)((int32_t)a->residual[at] - a->residual_zero) * a->residual_multiplier;
        t = t + r;
    }
    if (a->output_f32) {
        a->output_f32[at] = t;
        return;
    }
    const uint8_t q = quantize(t, a->zero, a->low, a->high);
    a->output[at] = a->table ? a->table[q] : q;
}

size_t alula_conv_u8s8_scratch(const alula_conv_u8s8_args *args) {
    const alula_window *w = &args->window;
    const size_t depth = alula_depth_u8s8(w), pixels = alula_pixels(w);
    // AVX-512, Arm, wasm: pointers.
    const size_t pointers = alula_min(ALULA_POINTER_ROWS, alula_round_up(pixels, 12)) * alula_taps(w) * sizeof(void *) + 64;
#if defined(__x86_64__)
    // AVX2: the widened rows, and one panel of 16 output channels widened.
    const size_t rows = alula_min(alula_avx2_max_rows(depth), pixels);
    const size_t panel = rows > ALULA_AVX2_DIRECT_ROWS ? 32 * depth : 0;
    const size_t widened = rows * alula_avx2_row_bytes(depth) + panel + 128;
    return alula_round_up(widened > pointers ? widened : pointers, 64);
#else
    // One panel of 16 output channels in another order (Arm), each tap's channels padded to a multiple of 8, or widened (wasm).
    (void)depth;
    const size_t channels = alula_round_up(alula_group_inputs(w), 8);
    return alula_round_up(pointers, 64) + alula_taps(w) * channels * ALULA_REPACKED_BYTES;
#endif
}

void alula_conv_u8s8_scalar(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_conv_u8s8_args *a = args;
    const alula_window *w = &a->window;
    const size_t inputs = alula_group_inputs(w), outputs = alula_group_outputs(w), quads = (inputs + 3) / 4;
    const size_t padded = alula_round_up(outputs, 16), depth = alula_depth_u8s8(w);
    alula_place place = alula_place_of(w, begin);
    for (size_t pixel = begin; pixel < end; pixel++, alula_place_advance(w, &place)) {
        for (size_t channel = 0; channel < (size_t)w->groups * padded; channel += 16) {
            const size_t group = channel / padded, first = channel % padded;
            const int8_t *weight = a->weight + channel * depth;
            uint32_t sum[16];
            for (size_t n = 0; n < 16; n++) sum[n] = (uint32_t)a->bias[channel + n];
            for (int32_t ky = 0; ky < w->kernel_h; ky++) {
                for (int32_t kx = 0; kx < w->kernel_w; kx++) {
                    const int64_t offset = alula_tap_offset(w, &place, ky, kx);
                    const uint8_t *x = offset < 0 ? a->pad_row : a->input + offset + group * inputs;
                    for (size_t q = 0; q < quads; q++, x += 4, weight += 64) {
                        for (size_t n = 0; n < 16; n++) {
                            const int8_t *v = weight + 4 * n;
                            sum[n] += (uint32_t)(x[0] * v[0] + x[1] * v[1] + x[2] * v[2] + x[3] * v[3]);
                        }
                    }
                }
            }
            const size_t at = pixel * (size_t)w->out_c + group * outputs + first;
            for (size_t n = 0; n < alula_min(16, outputs - first); n++) {
                finish_u8s8(a, (int32_t)sum[n], a->multiplier[channel + n], at + n);
            }
        }
    }
}

size_t alula_depthwise_u8s8_scratch(const alula_conv_u8s8_args *args) {
    const alula_window *w = &args->window;
#if defined(__x86_64__)
    // AVX2: a ring of pairs of rows, and the weights of 16 channels for either row of a pair.
    const size_t columns = alula_depthwise_columns(w, (size_t)w->out_w), width = (size_t)w->kernel_w, quads = alula_depthwise_quads(w);
    const size_t avx2 = alula_depthwise_blocks((size_t)w->out_c) * alula_depthwise_pairs(w) * (columns + 2 * width) * 64;
    // AVX-512: zipped rows, the weights of 64 channels for each output row that lies within them, bias and multiplier.
    const size_t avx512 = (quads * (alula_depthwise_zipped_columns(w) + alula_depthwise_rows(w) * width) + 2) * 256;
    return avx2 > avx512 ? avx2 : avx512;
#else
    // Arm: pointers to the taps of four pixels.
    return alula_round_up((alula_taps(w) + 1) * ALULA_DEPTHWISE_PIXELS * sizeof(void *), 64);
#endif
}

void alula_depthwise_u8s8_scalar(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_conv_u8s8_args *a = args;
    const alula_window *w = &a->window;
    const size_t channels = (size_t)w->out_c, padded = alula_round_up(channels, 16), row = (size_t)w->out_w;
    alula_place place = alula_place_of(w, begin * row);
    for (size_t pixel = begin * row; pixel < end * row; pixel++, alula_place_advance(w, &place)) {
        for (size_t c = 0; c < channels; c++) {
            uint32_t sum = (uint32_t)a->bias[c];
            const int8_t *weight = a->weight + c;
            for (int32_t ky = 0; ky < w->kernel_h; ky++) {
                for (int32_t kx = 0; kx < w->kernel_w; kx++, weight += padded) {
                    const int64_t offset = alula_tap_offset(w, &place, ky, kx);
                    sum += (uint32_t)((offset < 0 ? a->pad_row[c] : a->input[offset + (int64_t)c]) * *weight);
                }
            }
            finish_u8s8(a, (int32_t)sum, a->multiplier[c], pixel * channels + c);
        }
    }
}

void alula_conv_transpose_u8s8_scalar(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_conv_u8s8_args *a = args;
    const alula_window *w = &a->window;
    const size_t channels = (size_t)w->out_c, padded = alula_round_up(channels, 16), width = (size_t)w->out_w;
    const size_t kernel_h = (size_t)w->kernel_h, kernel_w = (size_t)w->kernel_w;
    for (size_t row = begin; row < end; row++) {
        // Images are whole numbers of kernels high, so rows need no division into images.
        const uint8_t *in = a->input + row / kernel_h * (size_t)w->in_w * channels;
        for (size_t x = 0; x < width; x++) {
            const uint8_t *from = in + x / kernel_w * channels;
            const int8_t *weight = a->weight + (row % kernel_h * kernel_w + x % kernel_w) * padded;
            for (size_t c = 0; c < channels; c++) {
                const uint32_t sum = (uint32_t)a->bias[c] + (uint32_t)((from[c] - a->pad_row[c]) * weight[c]);
                finish_u8s8(a, (int32_t)sum, a->multiplier[c], (row * width + x) * channels + c);
            }
        }
    }
}

// ---- f32 --------------------------------------------------------------------------------------------------------------------------

// Activation, then residual (which may be the output's memory), then the only store.
static void finish_f32(const alula_conv_f32_args *a, float *sum, size_t n, size_t at) {
    if (a->activation != ALULA_NONE) alula_unary_f32_apply_scalar(a->activation, sum, n);
    for (size_t i = 0; i < n; i++) a->output[at + i] = a->residual ? sum[i] + a->residual[at + i] : sum[i];
}

size_t alula_conv_f32_scratch(const alula_conv_f32_args *args) {
    const size_t rows = alula_min(ALULA_POINTER_ROWS, alula_round_up(alula_pixels(&args->window), 12));
    return alula_round_up(rows * alula_taps(&args->window) * sizeof(void *), 64);
}

void alula_conv_f32_scalar(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_conv_f32_args *a = args;
    const alula_window *w = &a->window;
    const size_t inputs = alula_group_inputs(w), outputs = alula_group_outputs(w);
    const size_t padded = alula_round_up(outputs, 16), depth = alula_taps(w) * inputs;
    alula_place place = alula_place_of(w, begin);
    for (size_t pixel = begin; pixel < end; pixel++, alula_place_advance(w, &place)) {
        for (size_t channel = 0; channel < (size_t)w->groups * padded; channel += 16) {
            const size_t group = channel / padded, first = channel % padded;
            const float *weight = a->weight + channel * depth;
            float sum[16];
            for (size_t n = 0; n < 16; n++) sum[n] = a->bias ? a->bias[channel + n] : 0.0f;
            for (int32_t ky = 0; ky < w->kernel_h; ky++) {
                for (int32_t kx = 0; kx < w->kernel_w; kx++) {
                    const int64_t offset = alula_tap_offset(w, &place, ky, kx);
                    const float *x = offset < 0 ? a->pad_row : a->input + offset + group * inputs;
                    for (size_t c = 0; c < inputs; c++, weight += 16) {
                        for (size_t n = 0; n < 16; n++) sum[n] = alula_fma(x[c], weight[n], sum[n]);
                    }
                }
            }
            finish_f32(a, sum, alula_min(16, outputs - first), pixel * (size_t)w->out_c + group * outputs + first);
        }
    }
}

void alula_depthwise_f32_scalar(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_conv_f32_args *a = args;
    const alula_window *w = &a->window;
    const size_t channels = (size_t)w->out_c, padded = alula_round_up(channels, 16), row = (size_t)w->out_w;
    alula_place place = alula_place_of(w, begin * row);
    for (size_t pixel = begin * row; pixel < end * row; pixel++, alula_place_advance(w, &place)) {
        for (size_t first = 0; first < channels; first += 16) {
            const size_t count = alula_min(16, channels - first);
            float sum[16];
            for (size_t n = 0; n < count; n++) sum[n] = a->bias ? a->bias[first + n] : 0.0f;
            const float *weight = a->weight + first;
            for (int32_t ky = 0; ky < w->kernel_h; ky++) {
                for (int32_t kx = 0; kx < w->kernel_w; kx++, weight += padded) {
                    const int64_t offset = alula_tap_offset(w, &place, ky, kx);
                    const float *x = offset < 0 ? a->pad_row + first : a->input + offset + first;
                    for (size_t n = 0; n < count; n++) sum[n] = alula_fma(x[n], weight[n], sum[n]);
                }
            }
            finish_f32(a, sum, count, pixel * channels + first);
        }
    }
}

// Depthwise with the kernel as stride: each output pixel has one input pixel and one tap. EdgeViT's propagation.
static int is_spread(const alula_window *w) {
    return w->groups == w->in_c && w->groups == w->out_c && w->stride_h == w->kernel_h && w->stride_w == w->kernel_w
        && w->pad_top == 0 && w->pad_left == 0 && w->dilation_h == 1 && w->dilation_w == 1
        && w->out_h == w->in_h * w->kernel_h && w->out_w == w->in_w * w->kernel_w;
}

static void spread_f32(const alula_conv_f32_args *a, size_t begin, size_t end) {
    const alula_window *w = &a->window;
    const size_t channels = (size_t)w->out_c, taps = alula_taps(w), width = (size_t)w->out_w, height = (size_t)w->out_h;
    for (size_t pixel = begin; pixel < end; pixel++) {
        const size_t x = pixel % width, y = pixel / width % height, image = pixel / width / height;
        const size_t kernel_h = (size_t)w->kernel_h, kernel_w = (size_t)w->kernel_w;
        const size_t row = image * (size_t)w->in_h + y / kernel_h;
        const float *in = a->input + (row * (size_t)w->in_w + x / kernel_w) * channels;
        const float *weight = a->weight + y % kernel_h * kernel_w + x % kernel_w;
        for (size_t first = 0; first < channels; first += 16) {
            const size_t count = alula_min(16, channels - first);
            float sum[16];
            for (size_t n = 0; n < count; n++) {
                // Every channel is a group, whose bias is padded to 16.
                const float bias = a->bias ? a->bias[(first + n) * 16] : 0.0f;
                sum[n] = alula_fma(in[first + n], weight[(first + n) * taps], bias);
            }
            finish_f32(a, sum, count, pixel * channels + first);
        }
    }
}

// A gather: each output pixel asks which input pixels reach it, so that pixels stay independent items. Rare in these models; scalar on
// every instruction set.
void alula_conv_transpose_f32_scalar(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_conv_f32_args *a = args;
    const alula_window *w = &a->window;
    if (is_spread(w)) return spread_f32(a, begin, end);
    const size_t inputs = alula_group_inputs(w), outputs = alula_group_outputs(w), taps = alula_taps(w);
    const size_t padded = alula_round_up(outputs, 16);
    alula_place place = alula_place_of(w, begin);
    for (size_t pixel = begin; pixel < end; pixel++, alula_place_advance(w, &place)) {
        for (size_t channel = 0; channel < (size_t)w->groups * padded; channel += 16) {
            const size_t group = channel / padded, first = channel % padded, count = alula_min(16, outputs - first);
            float sum[16];
            for (size_t n = 0; n < count; n++) sum[n] = a->bias ? a->bias[channel + n] : 0.0f;
            for (int32_t ky = 0; ky < w->kernel_h; ky++) {
                const int32_t y = place.y + w->pad_top - ky * w->dilation_h;
                if (y < 0 || y % w->stride_h != 0 || y / w->stride_h >= w->in_h) continue;
                for (int32_t kx = 0; kx < w->kernel_w; kx++) {
                    const int32_t x = place.x + w->pad_left - kx * w->dilation_w;
                    if (x < 0 || x % w->stride_w != 0 || x / w->stride_w >= w->in_w) continue;
                    const size_t row = ((size_t)place.image * (size_t)w->in_h + (size_t)(y / w->stride_h)) * (size_t)w->in_w;
                    const float *in = a->input + (row + (size_t)(x / w->stride_w)) * (size_t)w->in_c + group * inputs;
                    const float *weight = a->weight + ((group * inputs * taps) + (size_t)(ky * w->kernel_w + kx)) * outputs + first;
                    for (size_t c = 0; c < inputs; c++, weight += taps * outputs) {
                        for (size_t n = 0; n < count; n++) sum[n] = alula_fma(in[c], weight[n], sum[n]);
                    }
                }
            }
            finish_f32(a, sum, count, pixel * (size_t)w->out_c + group * outputs + first);
        }
    }
}
