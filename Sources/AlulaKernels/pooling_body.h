// Pooling families: pool_mixer_u8, pool_mixer_f32, pool_u8, pool_f32, mean_u8. Included once by the file of each instruction set.
#include "kernels_internal.h"
#include "requantize.h"

// Sixteen channels are worked on together, in vectors of the compiler's own (split where registers are narrower). The last block reads beyond
// the end, as the contract allows, and stores only its own.
enum { BLOCK = 16 };
typedef uint8_t bytes_block __attribute__((vector_size(BLOCK)));
typedef int32_t i32_block __attribute__((vector_size(4 * BLOCK)));
typedef float f32_block __attribute__((vector_size(4 * BLOCK)));

#define ALULA_ADD_U8(sum, in)                                        \
    {                                                                \
        bytes_block taken;                                           \
        __builtin_memcpy(&taken, in, sizeof taken);                  \
        sum += __builtin_convertvector(taken, i32_block);            \
    }

#define ALULA_ADD_F32(sum, in)                                       \
    {                                                                \
        f32_block taken;                                             \
        __builtin_memcpy(&taken, in, sizeof taken);                  \
        sum += taken;                                                \
    }

ALULA_INLINE void store_u8(uint8_t *out, const uint8_t *block, size_t n) {
    if (n >= BLOCK) __builtin_memcpy(out, block, BLOCK);
    else for (size_t i = 0; i < n; i++) out[i] = block[i];
}

ALULA_INLINE void store_f32(float *out, const float *block, size_t n) {
    if (n >= BLOCK) __builtin_memcpy(out, block, 4 * BLOCK);
    else for (size_t i = 0; i < n; i++) out[i] = block[i];
}

// Where mask is set a, else b.
#define ALULA_SELECT(mask, a, b) ((f32_block)(((i32_block)(a) & (mask)) | ((i32_block)(b) & ~(mask))))

// alula_requantize of a block with bounds 0 and 255, of which n are stored.
ALULA_INLINE void store_requantized(uint8_t *out, const f32_block *value, int32_t zero, size_t n) {
    f32_block t = *value, floor = (f32_block){0} + (float)(0 - zero), ceiling = (f32_block){0} + (float)(255 - zero);
    t = ALULA_SELECT(t > floor, t, floor);
    t = ALULA_SELECT(t < ceiling, t, ceiling);
    bytes_block y = __builtin_convertvector((i32_block)(t + 12582912.0f) - 0x4B400000 + zero, bytes_block);
    store_u8(out, (const uint8_t *)&y, n);
}

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

// The taps of one pixel that lie inside the image: rows y0..<y1, columns x0..<x1.
typedef struct { size_t y0, y1, x0, x1, y, x; int32_t count; } neighbourhood;

ALULA_INLINE neighbourhood around(int32_t y, int32_t x, int32_t size, int32_t h, int32_t w) {
    int32_t y0 = alula_max_i32(y - size / 2, 0), y1 = alula_min_i32(y - size / 2 + size, h);
    int32_t x0 = alula_max_i32(x - size / 2, 0), x1 = alula_min_i32(x - size / 2 + size, w);
    return (neighbourhood){(size_t)y0, (size_t)y1, (size_t)x0, (size_t)x1, (size_t)y, (size_t)x, (y1 - y0) * (x1 - x0)};
}

#ifndef ALULA_OWN_POOL_MIXER_U8
ALULA_INLINE void mix_u8(const alula_pool_mixer_u8_args *p, const uint8_t *image, neighbourhood t, uint8_t *out, size_t block, size_t n) {
    size_t c = (size_t)p->c, line = (size_t)p->w * c;
    i32_block sum = {0}, middle = {0};
    float inverse = 1.0f / (float)t.count;
    for (size_t y = t.y0; y < t.y1; y++) {
        for (size_t x = t.x0; x < t.x1; x++) ALULA_ADD_U8(sum, image + y * line + x * c + block)
    }
    ALULA_ADD_U8(middle, image + t.y * line + t.x * c + block)
    f32_block center, average;
    __builtin_memcpy(&center, p->center + block, sizeof center);
    __builtin_memcpy(&average, p->average + block, sizeof average);
    f32_block pixel = __builtin_convertvector(middle - p->zero_in, f32_block);
    f32_block total = __builtin_convertvector(sum - t.count * p->zero_in, f32_block);
    f32_block v = pixel * center + (total * inverse) * average;
    store_requantized(out + block, &v, p->zero, n);
}

void ALULA_SYMBOL(pool_mixer_u8)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_pool_mixer_u8_args *p = args;
    size_t c = (size_t)p->c, line = (size_t)p->w * c, h = (size_t)p->h;
    for (size_t row = begin; row < end; row++) {
        const uint8_t *image = p->input + row / h * h * line;
        for (int32_t x = 0; x < p->w; x++) {
            neighbourhood t = around((int32_t)(row % h), x, p->size, p->h, p->w);
            for (size_t block = 0; block < c; block += BLOCK) mix_u8(p, image, t, p->output + row * line + (size_t)x * c, block, c - block);
        }
    }
}
#endif

ALULA_INLINE void mix_f32(const alula_pool_mixer_f32_args *p, const float *image, neighbourhood t, float *out, size_t block, size_t n) {
    size_t c = (size_t)p->c, line = (size_t)p->w * c;
    f32_block sum = {0}, pixel, scale;
    float inverse = 1.0f / (float)t.count;
    for (size_t y = t.y0; y < t.y1; y++) {
        for (size_t x = t.x0; x < t.x1; x++) ALULA_ADD_F32(sum, image + y * line + x * c + block)
    }
    __builtin_memcpy(&pixel, image + t.y * line + t.x * c + block, sizeof pixel);
    __builtin_memcpy(&scale, p->scale + block, sizeof scale);
    f32_block v = pixel + scale * (sum * inverse - pixel);
    store_f32(out + block, (const float *)&v, n);
}

void ALULA_SYMBOL(pool_mixer_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_pool_mixer_f32_args *p = args;
    size_t c = (size_t)p->c, line = (size_t)p->w * c, h = (size_t)p->h;
    for (size_t row = begin; row < end; row++) {
        const float *image = p->input + row / h * h * line;
        for (int32_t x = 0; x < p->w; x++) {
            neighbourhood t = around((int32_t)(row % h), x, p->size, p->h, p->w);
            for (size_t block = 0; block < c; block += BLOCK) mix_f32(p, image, t, p->output + row * line + (size_t)x * c, block, c - block);
        }
    }
}

// ---- Average and maximum ------------------------------------------------------------------------------------------------------------

// One output pixel: the taps of both axes, and where tap (0, 0) lies in the image.
typedef struct { taps y, x; int32_t first_y, first_x; } pixel_taps;

ALULA_INLINE pixel_taps pixel(const alula_window *w, size_t row, int32_t x, int32_t pad_bottom, int32_t pad_right) {
    pixel_taps t;
    t.first_y = (int32_t)(row % (size_t)w->out_h) * w->stride_h - w->pad_top;
    t.first_x = x * w->stride_w - w->pad_left;
    t.y = taps_inside(t.first_y, w->kernel_h, w->dilation_h, w->in_h, pad_bottom);
    t.x = taps_inside(t.first_x, w->kernel_w, w->dilation_w, w->in_w, pad_right);
    return t;
}

ALULA_INLINE int32_t inside(const pixel_taps *t) { return (t->y.end - t->y.begin) * (t->x.end - t->x.begin); }

ALULA_INLINE float inverse_count(const pixel_taps *t, int32_t count_padding) {
    int32_t count = count_padding ? t->y.padded * t->x.padded : inside(t);
    return count > 0 ? 1.0f / (float)count : 0.0f;
}

// Offset of a tap's channels in the image that pixel `b * in_h * in_w` begins.
ALULA_INLINE size_t tap_offset(const alula_window *w, const pixel_taps *t, int32_t ky, int32_t kx) {
    size_t y = (size_t)(t->first_y + ky * w->dilation_h), x = (size_t)(t->first_x + kx * w->dilation_w);
    return (y * (size_t)w->in_w + x) * (size_t)w->in_c;
}

ALULA_INLINE void maximum_u8(const alula_pool_u8_args *p, const uint8_t *image, const pixel_taps *t, uint8_t *out, size_t n) {
    bytes_block most = {0};
    for (int32_t ky = t->y.begin; ky < t->y.end; ky++) {
        for (int32_t kx = t->x.begin; kx < t->x.end; kx++) {
            bytes_block x;
            __builtin_memcpy(&x, image + tap_offset(&p->window, t, ky, kx), sizeof x);
            most = __builtin_elementwise_max(most, x);
        }
    }
    store_u8(out, (const uint8_t *)&most, n);
}

ALULA_INLINE void average_u8(const alula_pool_u8_args *p, const uint8_t *image, const pixel_taps *t, uint8_t *out, size_t n) {
    i32_block sum = {0};
    float inverse = inverse_count(t, p->count_padding);
    for (int32_t ky = t->y.begin; ky < t->y.end; ky++) {
        for (int32_t kx = t->x.begin; kx < t->x.end; kx++) {
            ALULA_ADD_U8(sum, image + tap_offset(&p->window, t, ky, kx))
        }
    }
    f32_block v = (__builtin_convertvector(sum - inside(t) * p->zero_in, f32_block) * inverse) * p->multiplier;
    store_requantized(out, &v, p->zero, n);
}

void ALULA_SYMBOL(pool_u8)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_pool_u8_args *p = args;
    const alula_window *w = &p->window;
    size_t c = (size_t)w->in_c;
    for (size_t row = begin; row < end; row++) {
        const uint8_t *image = p->input + row / (size_t)w->out_h * (size_t)w->in_h * (size_t)w->in_w * c;
        for (int32_t x = 0; x < w->out_w; x++) {
            pixel_taps t = pixel(w, row, x, p->pad_bottom, p->pad_right);
            uint8_t *out = p->output + (row * (size_t)w->out_w + (size_t)x) * c;
            if (p->maximum) for (size_t block = 0; block < c; block += BLOCK) maximum_u8(p, image + block, &t, out + block, c - block);
            else for (size_t block = 0; block < c; block += BLOCK) average_u8(p, image + block, &t, out + block, c - block);
        }
    }
}

ALULA_INLINE void maximum_f32(const alula_pool_f32_args *p, const float *image, const pixel_taps *t, float *out, size_t n) {
    f32_block most = {0};
    most += -__builtin_inff();
    for (int32_t ky = t->y.begin; ky < t->y.end; ky++) {
        for (int32_t kx = t->x.begin; kx < t->x.end; kx++) {
            f32_block x;
            __builtin_memcpy(&x, image + tap_offset(&p->window, t, ky, kx), sizeof x);
            i32_block greater = x > most;
            most = (f32_block)(((i32_block)x & greater) | ((i32_block)most & ~greater));
        }
    }
    store_f32(out, (const float *)&most, n);
}

ALULA_INLINE void average_f32(const alula_pool_f32_args *p, const float *image, const pixel_taps *t, float *out, size_t n) {
    f32_block sum = {0};
    float inverse = inverse_count(t, p->count_padding);
    for (int32_t ky = t->y.begin; ky < t->y.end; ky++) {
        for (int32_t kx = t->x.begin; kx < t->x.end; kx++) {
            ALULA_ADD_F32(sum, image + tap_offset(&p->window, t, ky, kx))
        }
    }
    f32_block v = sum * inverse;
    store_f32(out, (const float *)&v, n);
}

void ALULA_SYMBOL(pool_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_pool_f32_args *p = args;
    const alula_window *w = &p->window;
    size_t c = (size_t)w->in_c;
    for (size_t row = begin; row < end; row++) {
        const float *image = p->input + row / (size_t)w->out_h * (size_t)w->in_h * (size_t)w->in_w * c;
        for (int32_t x = 0; x < w->out_w; x++) {
            pixel_taps t = pixel(w, row, x, p->pad_bottom, p->pad_right);
            float *out = p->output + (row * (size_t)w->out_w + (size_t)x) * c;
            if (p->maximum) for (size_t block = 0; block < c; block += BLOCK) maximum_f32(p, image + block, &t, out + block, c - block);
            else for (size_t block = 0; block < c; block += BLOCK) average_f32(p, image + block, &t, out + block, c - block);
        }
    }
}

// ---- Mean over the middle axis --------------------------------------------------------------------------------------------------------

ALULA_INLINE void mean_u8_block(const alula_mean_u8_args *p, const uint8_t *in, size_t at, size_t n) {
    size_t count = (size_t)p->n, inner = (size_t)p->inner;
    i32_block sum = {0};
    for (size_t j = 0; j < count; j++) ALULA_ADD_U8(sum, in + j * inner)
    f32_block t = __builtin_convertvector(sum - p->n * p->zero_in, f32_block) * p->multiplier;
    if (p->output_f32) store_f32(p->output_f32 + at, (const float *)&t, n);
    else store_requantized(p->output + at, &t, p->zero, n);
}

void ALULA_SYMBOL(mean_u8)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_mean_u8_args *p = args;
    size_t inner = (size_t)p->inner;
    for (size_t o = begin; o < end; o++) {
        const uint8_t *in = p->input + o * (size_t)p->n * inner;
        for (size_t block = 0; block < inner; block += BLOCK) mean_u8_block(p, in + block, o * inner + block, inner - block);
    }
}
