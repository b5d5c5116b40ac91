// Pooling families: pool_mixer_u8, pool_mixer_f32, pool_u8, pool_f32, mean_u8, mean_f32. Included once by the file of each instruction set.
#include "kernels_internal.h"
#include "requantize.h"

enum { BLOCK = 64 };                                         // channels that are summed together, in local arrays

// The taps [begin, end) of one axis that lie inside 0..<size, and how many count at all.
typedef struct { int32_t begin, end, padded; } taps;

// Tap k reads position start + k * dilation; positions up to size + pad_end belong to the padded image.
ALULA_INLINE taps taps_inside(int32_t start, int32_t kernel, int32_t dilation, int32_t size, int32_t pad_end) {
    taps t = {kernel, kernel, 0};
    bool found = false;
    for (int32_t k = 0; k < kernel; k++) {
        int32_t position = start + k * dilation;
        if (position < size + pad_end) t.padded++;
        if (position < 0 || position >= size) continue;
        if (!found) t.begin = k;
        found = true;
        t.end = k + 1;
    }
    return t;
}

// ---- Pool minus identity ----------------------------------------------------------------------------------------------------------

#ifndef ALULA_OWN_POOL_MIXER_U8
static void pool_mixer_u8_row(const alula_pool_mixer_u8_args *p, size_t row) {
    int32_t h = p->h, w = p->w, c = p->c, y = (int32_t)(row % (size_t)h), radius = p->size / 2;
    int32_t zero_in = p->zero_in, zero = p->zero;
    int32_t y0 = alula_max_i32(y - radius, 0), y1 = alula_min_i32(y - radius + p->size, h);
    size_t line = (size_t)w * (size_t)c;
    const uint8_t *image = p->input + (row - (size_t)y) * line;
    for (int32_t x = 0; x < w; x++) {
        int32_t x0 = alula_max_i32(x - radius, 0), x1 = alula_min_i32(x - radius + p->size, w);
        int32_t count = (y1 - y0) * (x1 - x0), offset = count * zero_in;
        float inverse = 1.0f / (float)count;
        for (int32_t block = 0; block < c; block += BLOCK) {
            int32_t n = alula_min_i32(BLOCK, c - block);
            int32_t sum[BLOCK] = {0};
            for (int32_t ty = y0; ty < y1; ty++) {
                for (int32_t tx = x0; tx < x1; tx++) {
                    const uint8_t *in = image + (size_t)ty * line + (size_t)tx * (size_t)c + block;
                    for (int32_t i = 0; i < n; i++) sum[i] += in[i];
                }
            }
            const uint8_t *in = image + (size_t)y * line + (size_t)x * (size_t)c + block;
            uint8_t *out = p->output + row * line + (size_t)x * (size_t)c + block;
            const float *center = p->center + block, *average = p->average + block;
            ALULA_VECTORIZE for (int32_t i = 0; i < n; i++) {
                float t = (float)((int32_t)in[i] - zero_in) * center[i] + ((float)(sum[i] - offset) * inverse) * average[i];
                out[i] = alula_requantize(t, zero, 0, 255);
            }
        }
    }
}

void ALULA_SYMBOL(pool_mixer_u8)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    for (size_t row = begin; row < end; row++) pool_mixer_u8_row(args, row);
}
#endif

void ALULA_SYMBOL(pool_mixer_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_pool_mixer_f32_args *p = args;
    int32_t h = p->h, w = p->w, c = p->c, radius = p->size / 2;
    size_t line = (size_t)w * (size_t)c;
    for (size_t row = begin; row < end; row++) {
        int32_t y = (int32_t)(row % (size_t)h);
        int32_t y0 = alula_max_i32(y - radius, 0), y1 = alula_min_i32(y - radius + p->size, h);
        const float *image = p->input + (row - (size_t)y) * line;
        for (int32_t x = 0; x < w; x++) {
            int32_t x0 = alula_max_i32(x - radius, 0), x1 = alula_min_i32(x - radius + p->size, w);
            float inverse = 1.0f / (float)((y1 - y0) * (x1 - x0));
            for (int32_t block = 0; block < c; block += BLOCK) {
                int32_t n = alula_min_i32(BLOCK, c - block);
                float sum[BLOCK] = {0};
                for (int32_t ty = y0; ty < y1; ty++) {
                    for (int32_t tx = x0; tx < x1; tx++) {
                        const float *in = image + (size_t)ty * line + (size_t)tx * (size_t)c + block;
                        for (int32_t i = 0; i < n; i++) sum[i] += in[i];
                    }
                }
                const float *in = image + (size_t)y * line + (size_t)x * (size_t)c + block, *scale = p->scale + block;
                float *out = p->output + row * line + (size_t)x * (size_t)c + block;
                ALULA_VECTORIZE for (int32_t i = 0; i < n; i++) out[i] = in[i] + scale[i] * (sum[i] * inverse - in[i]);
            }
        }
    }
}

// ---- Average and maximum ------------------------------------------------------------------------------------------------------------

// One output pixel's taps: rows y.begin..<y.end of image, columns x.begin..<x.end, first is the input position of tap (0, 0).
ALULA_INLINE void pool_u8_pixel(const alula_pool_u8_args *p, const uint8_t *image, int32_t first_y, int32_t first_x, taps ty, taps tx,
                                uint8_t *out) {
    const alula_window *win = &p->window;
    int32_t c = win->in_c, zero_in = p->zero_in, zero = p->zero, inside = (ty.end - ty.begin) * (tx.end - tx.begin);
    int32_t count = p->count_padding ? ty.padded * tx.padded : inside;
    float inverse = count > 0 ? 1.0f / (float)count : 0.0f, multiplier = p->multiplier;
    int32_t offset = inside * zero_in;
    for (int32_t block = 0; block < c; block += BLOCK) {
        int32_t n = alula_min_i32(BLOCK, c - block);
        int32_t sum[BLOCK] = {0};
        uint8_t most[BLOCK] = {0};
        for (int32_t ky = ty.begin; ky < ty.end; ky++) {
            for (int32_t kx = tx.begin; kx < tx.end; kx++) {
                size_t y = (size_t)(first_y + ky * win->dilation_h), x = (size_t)(first_x + kx * win->dilation_w);
                const uint8_t *in = image + (y * (size_t)win->in_w + x) * (size_t)c + block;
                if (p->maximum) {
                    for (int32_t i = 0; i < n; i++) most[i] = in[i] > most[i] ? in[i] : most[i];
                } else {
                    for (int32_t i = 0; i < n; i++) sum[i] += in[i];
                }
            }
        }
        if (p->maximum) {
            for (int32_t i = 0; i < n; i++) out[block + i] = most[i];
        } else {
            ALULA_VECTORIZE for (int32_t i = 0; i < n; i++) {
                out[block + i] = alula_requantize(((float)(sum[i] - offset) * inverse) * multiplier, zero, 0, 255);
            }
        }
    }
}

void ALULA_SYMBOL(pool_u8)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_pool_u8_args *p = args;
    const alula_window *win = &p->window;
    size_t c = (size_t)win->in_c;
    for (size_t row = begin; row < end; row++) {
        size_t b = row / (size_t)win->out_h;
        int32_t first_y = (int32_t)(row % (size_t)win->out_h) * win->stride_h - win->pad_top;
        taps ty = taps_inside(first_y, win->kernel_h, win->dilation_h, win->in_h, p->pad_bottom);
        const uint8_t *image = p->input + b * (size_t)win->in_h * (size_t)win->in_w * c;
        for (int32_t x = 0; x < win->out_w; x++) {
            int32_t first_x = x * win->stride_w - win->pad_left;
            taps tx = taps_inside(first_x, win->kernel_w, win->dilation_w, win->in_w, p->pad_right);
            pool_u8_pixel(p, image, first_y, first_x, ty, tx, p->output + (row * (size_t)win->out_w + (size_t)x) * c);
        }
    }
}

ALULA_INLINE void pool_f32_pixel(const alula_pool_f32_args *p, const float *image, int32_t first_y, int32_t first_x, taps ty, taps tx,
                                 float *out) {
    const alula_window *win = &p->window;
    int32_t c = win->in_c;
    int32_t count = p->count_padding ? ty.padded * tx.padded : (ty.end - ty.begin) * (tx.end - tx.begin);
    float inverse = count > 0 ? 1.0f / (float)count : 0.0f;
    for (int32_t block = 0; block < c; block += BLOCK) {
        int32_t n = alula_min_i32(BLOCK, c - block);
        float sum[BLOCK];
        for (int32_t i = 0; i < BLOCK; i++) sum[i] = p->maximum ? -__builtin_inff() : 0.0f;
        for (int32_t ky = ty.begin; ky < ty.end; ky++) {
            for (int32_t kx = tx.begin; kx < tx.end; kx++) {
                size_t y = (size_t)(first_y + ky * win->dilation_h), x = (size_t)(first_x + kx * win->dilation_w);
                const float *in = image + (y * (size_t)win->in_w + x) * (size_t)c + block;
                if (p->maximum) {
                    for (int32_t i = 0; i < n; i++) sum[i] = in[i] > sum[i] ? in[i] : sum[i];
                } else {
                    for (int32_t i = 0; i < n; i++) sum[i] += in[i];
                }
            }
        }
        for (int32_t i = 0; i < n; i++) out[block + i] = p->maximum ? sum[i] : sum[i] * inverse;
    }
}

void ALULA_SYMBOL(pool_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_pool_f32_args *p = args;
    const alula_window *win = &p->window;
    size_t c = (size_t)win->in_c;
    for (size_t row = begin; row < end; row++) {
        size_t b = row / (size_t)win->out_h;
        int32_t first_y = (int32_t)(row % (size_t)win->out_h) * win->stride_h - win->pad_top;
        taps ty = taps_inside(first_y, win->kernel_h, win->dilation_h, win->in_h, p->pad_bottom);
        const float *image = p->input + b * (size_t)win->in_h * (size_t)win->in_w * c;
        for (int32_t x = 0; x < win->out_w; x++) {
            int32_t first_x = x * win->stride_w - win->pad_left;
            taps tx = taps_inside(first_x, win->kernel_w, win->dilation_w, win->in_w, p->pad_right);
            pool_f32_pixel(p, image, first_y, first_x, ty, tx, p->output + (row * (size_t)win->out_w + (size_t)x) * c);
        }
    }
}

// ---- Mean over the middle axis --------------------------------------------------------------------------------------------------------

void ALULA_SYMBOL(mean_u8)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_mean_u8_args *p = args;
    size_t n = (size_t)p->n, inner = (size_t)p->inner;
    int32_t offset = p->n * p->zero_in, zero = p->zero;
    float multiplier = p->multiplier;
    for (size_t o = begin; o < end; o++) {
        for (size_t block = 0; block < inner; block += BLOCK) {
            size_t count = alula_min_size(BLOCK, inner - block);
            const uint8_t *in = p->input + o * n * inner + block;
            int32_t sum[BLOCK] = {0};
            if (inner == 1) {
                for (size_t j = 0; j < n; j++) sum[0] += in[j];
            } else {
                for (size_t j = 0; j < n; j++) {
                    for (size_t i = 0; i < count; i++) sum[i] += in[j * inner + i];
                }
            }
            for (size_t i = 0; i < count; i++) {
                float t = (float)(sum[i] - offset) * multiplier;
                size_t at = o * inner + block + i;
                if (p->output_f32) p->output_f32[at] = t;
                else p->output[at] = alula_requantize(t, zero, 0, 255);
            }
        }
    }
}

void ALULA_SYMBOL(mean_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_mean_f32_args *p = args;
    size_t n = (size_t)p->n, inner = (size_t)p->inner;
    float inverse = 1.0f / (float)p->n;
    for (size_t o = begin; o < end; o++) {
        for (size_t block = 0; block < inner; block += BLOCK) {
            size_t count = alula_min_size(BLOCK, inner - block);
            const float *in = p->input + o * n * inner + block;
            float sum[BLOCK] = {0};
            for (size_t j = 0; j < n; j++) {
                for (size_t i = 0; i < count; i++) sum[i] += in[j * inner + i];
            }
            for (size_t i = 0; i < count; i++) p->output[o * inner + block + i] = sum[i] * inverse;
        }
    }
}
