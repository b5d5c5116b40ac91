// weight_gradient_f32 and depthwise_weight_gradient_f32 for instruction sets with vectors of ALULA_LANES floats. Included once by the file of each.
//
// dyᵀ · x over pixels is a matrix product whose inner axis is the longest. Tiles of dy's columns (rows of the result) by x's columns stay in registers for a
// block of pixels: 12 x 32 with AVX-512 (24 accumulators for 2 + 12 loads), 6 x 16 with AVX2. Both operands are gathered into panels first, since their rows are
// as far apart as a tensor's rows, which may all fall into a few sets of the first-level cache.
#include "weight_gradient.h"

enum { PIXELS = ALULA_GRADIENT_PIXELS, PANEL = ALULA_GRADIENT_PANEL, ROWS = ALULA_GRADIENT_ROWS };
typedef float vector __attribute__((vector_size(4 * ALULA_LANES), aligned(4)));
#define ALULA_UNROLL_ALL _Pragma("clang loop unroll(full)")

// out[r][0..<n] (+)= sum over pixels of dy[pixel][r] * x[pixel][...], n <= vectors * lanes.
ALULA_INLINE void tile(const float *dy, const float *x, size_t pixels, float *out, size_t stride, size_t n, bool is_first, const size_t rows,
                       const size_t vectors) {
    vector sum[ALULA_TILE_ROWS][2];
    ALULA_UNROLL_ALL for (size_t r = 0; r < rows; r++) {
        ALULA_UNROLL_ALL for (size_t v = 0; v < vectors; v++) sum[r][v] = (vector){0};
    }
    for (size_t pixel = 0; pixel < pixels; pixel++, dy += ROWS, x += PANEL) {
        vector columns[2];
        ALULA_UNROLL_ALL for (size_t v = 0; v < vectors; v++) columns[v] = *(const vector *)(x + v * ALULA_LANES);
        ALULA_UNROLL_ALL for (size_t r = 0; r < rows; r++) {
            const vector factor = (vector){0} + dy[r];
            ALULA_UNROLL_ALL for (size_t v = 0; v < vectors; v++) sum[r][v] = __builtin_elementwise_fma(factor, columns[v], sum[r][v]);
        }
    }
    for (size_t r = 0; r < rows; r++, out += stride) {
        ALULA_UNROLL_ALL for (size_t v = 0; v < vectors; v++) {
            float *to = out + v * ALULA_LANES;
            if ((v + 1) * ALULA_LANES <= n) {
                vector *whole = (vector *)to;
                *whole = is_first ? sum[r][v] : *whole + sum[r][v];
            } else {
                const float *part = (const float *)&sum[r][v];
                for (size_t l = 0; v * ALULA_LANES + l < n; l++) to[l] = is_first ? part[l] : to[l] + part[l];
            }
        }
    }
}

// A panel of up to 32 columns for some rows of the result.
ALULA_INLINE void panel_rows(const float *dy, const float *x, size_t pixels, float *out, size_t stride, size_t n, bool is_first, const size_t rows) {
    for (size_t j = 0; j < n; j += 2 * ALULA_LANES) {
        const size_t left = n - j;
        if (left > ALULA_LANES) tile(dy, x + j, pixels, out + j, stride, left, is_first, rows, 2);
        else tile(dy, x + j, pixels, out + j, stride, left, is_first, rows, 1);
    }
}

static void multiply(const float *dy, const float *x, size_t pixels, float *out, size_t stride, size_t n, bool is_first, size_t rows) {
    size_t r = 0;
    for (; r + ALULA_TILE_ROWS <= rows; r += ALULA_TILE_ROWS) panel_rows(dy + r, x, pixels, out + r * stride, stride, n, is_first, ALULA_TILE_ROWS);
    for (; r + 4 <= rows; r += 4) panel_rows(dy + r, x, pixels, out + r * stride, stride, n, is_first, 4);
    for (; r < rows; r++) panel_rows(dy + r, x, pixels, out + r * stride, stride, n, is_first, 1);
}

// Output channels begin..<end of one group.
static void gradient_of_group(const alula_weight_gradient_f32_args *p, size_t group, size_t begin, size_t end, float *scratch) {
    const alula_window *w = &p->window;
    const size_t width = alula_taps(w) * alula_group_inputs(w), all = alula_pixels(w), outputs = (size_t)w->out_c;
    float *tile_dy = scratch, *panels = scratch + PIXELS * ROWS;
    for (size_t first = 0; first < width; first += ALULA_GRADIENT_COLUMNS) {
        const size_t columns = alula_min(ALULA_GRADIENT_COLUMNS, width - first);
        alula_place place = alula_place_of(w, 0);
        for (size_t block = 0; block < all; block += PIXELS) {
            const size_t pixels = alula_min(PIXELS, all - block);
            alula_gather_columns(p, &place, pixels, group, first, columns, panels);
            for (size_t row = begin; row < end; row += ROWS) {
                const size_t rows = alula_min(ROWS, end - row);
                const float *from = p->dy + block * outputs + row;
                if (rows == ROWS) {
                    for (size_t i = 0; i < pixels; i++, from += outputs) __builtin_memcpy(tile_dy + i * ROWS, from, ROWS * sizeof(float));
                } else {
                    for (size_t i = 0; i < pixels; i++, from += outputs) {
                        for (size_t r = 0; r < rows; r++) tile_dy[i * ROWS + r] = from[r];
                    }
                }
                for (size_t j = 0; j < columns; j += PANEL) {
                    multiply(tile_dy, panels + j * PIXELS, pixels, p->output + row * width + first + j, width, alula_min(PANEL, columns - j),
                             block == 0, rows);
                }
            }
        }
    }
}

void ALULA_SYMBOL(weight_gradient_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    const alula_weight_gradient_f32_args *p = args;
    const size_t outputs = alula_group_outputs(&p->window);
    while (begin < end) {
        const size_t group = begin / outputs, stop = alula_min(end, (group + 1) * outputs);
        gradient_of_group(p, group, begin, stop, scratch);
        begin = stop;
    }
}

// ---- Depthwise ------------------------------------------------------------------------------------------------------------------------

typedef float block16 __attribute__((vector_size(64), aligned(4)));

// One row of output pixels: row[tap] = fma chain; taps in registers where the kernel's size is a constant.
ALULA_INLINE void depthwise_row(const alula_weight_gradient_f32_args *p, alula_place place, size_t pixel, size_t c, block16 *total, const int32_t kernel_h,
                                const int32_t kernel_w) {
    const alula_window *w = &p->window;
    const size_t channels = (size_t)w->in_c;
    block16 row[9];
    for (int32_t tap = 0; tap < kernel_h * kernel_w; tap++) row[tap] = (block16){0};
    for (int32_t x = 0; x < w->out_w; x++, pixel++, alula_place_advance(w, &place)) {
        const block16 dy = *(const block16 *)(p->dy + pixel * channels + c);
        const int32_t last_y = place.in_y + (kernel_h - 1) * w->dilation_h, last_x = place.in_x + (kernel_w - 1) * w->dilation_w;
        if (place.in_y >= 0 && place.in_x >= 0 && last_y < w->in_h && last_x < w->in_w) {
            const float *corner = p->x + alula_tap_offset(w, &place, 0, 0) + c;
            ALULA_UNROLL_ALL for (int32_t ky = 0; ky < kernel_h; ky++) {
                ALULA_UNROLL_ALL for (int32_t kx = 0; kx < kernel_w; kx++) {
                    const float *from = corner + ((size_t)(ky * w->dilation_h) * (size_t)w->in_w + (size_t)(kx * w->dilation_w)) * channels;
                    row[ky * kernel_w + kx] = __builtin_elementwise_fma(dy, *(const block16 *)from, row[ky * kernel_w + kx]);
                }
            }
        } else {
            ALULA_UNROLL_ALL for (int32_t ky = 0; ky < kernel_h; ky++) {
                ALULA_UNROLL_ALL for (int32_t kx = 0; kx < kernel_w; kx++) {
                    const int64_t offset = alula_tap_offset(w, &place, ky, kx);
                    if (offset < 0) continue;
                    row[ky * kernel_w + kx] = __builtin_elementwise_fma(dy, *(const block16 *)(p->x + offset + c), row[ky * kernel_w + kx]);
                }
            }
        }
    }
    for (int32_t tap = 0; tap < kernel_h * kernel_w; tap++) total[tap] += row[tap];
}

// A kernel of any size: taps one after another.
ALULA_INLINE void depthwise_taps(const alula_weight_gradient_f32_args *p, alula_place place, size_t pixel, size_t c, block16 *total) {
    const alula_window *w = &p->window;
    for (int32_t tap = 0; tap < w->kernel_h * w->kernel_w; tap++) {
        block16 row = {0};
        alula_place at = place;
        for (int32_t x = 0; x < w->out_w; x++, alula_place_advance(w, &at)) {
            const int64_t offset = alula_tap_offset(w, &at, tap / w->kernel_w, tap % w->kernel_w);
            if (offset < 0) continue;
            const block16 dy = *(const block16 *)(p->dy + (pixel + (size_t)x) * (size_t)w->in_c + c);
            row = __builtin_elementwise_fma(dy, *(const block16 *)(p->x + offset + c), row);
        }
        total[tap] += row;
    }
}

void ALULA_SYMBOL(depthwise_weight_gradient_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    const alula_weight_gradient_f32_args *p = args;
    const alula_window *w = &p->window;
    const size_t taps = alula_taps(w), row = (size_t)w->out_w, rows = (size_t)w->batch * (size_t)w->out_h;
    block16 *total = scratch;
    for (size_t block = begin; block < end; block++) {
        const size_t c = 16 * block;
        for (size_t tap = 0; tap < taps; tap++) total[tap] = (block16){0};
        for (size_t y = 0; y < rows; y++) {
            const alula_place place = alula_place_of(w, y * row);
            if (w->kernel_h == 3 && w->kernel_w == 3) depthwise_row(p, place, y * row, c, total, 3, 3);
            else if (w->kernel_h == 2 && w->kernel_w == 2) depthwise_row(p, place, y * row, c, total, 2, 2);
            else depthwise_taps(p, place, y * row, c, total);
        }
        const size_t count = alula_min(16, (size_t)w->in_c - c);
        for (size_t tap = 0; tap < taps; tap++) {
            const float *sums = (const float *)&total[tap];
            for (size_t l = 0; l < count; l++) p->output[(c + l) * taps + tap] = sums[l];
        }
    }
}
