// weight_gradient_f32 and depthwise_weight_gradient_f32 for instruction sets with vectors of ALULA_LANES floats. Included once by the file of each.
//
// dyᵀ · x over pixels is a matrix product whose inner axis is the longest. Tiles of dy's columns (rows of the result) by x's columns stay in registers for a
// block of pixels: 12 x 32 with AVX-512 (24 accumulators for 2 + 12 loads), 6 x 16 with AVX2. Both operands are gathered into panels first, since their rows are
// as far apart as a tensor's rows, which may all fall into a few sets of the first-level cache.
#include "weight_gradient.h"

enum { PIXELS = ALULA_GRADIENT_PIXELS, PANEL = ALULA_GRADIENT_PANEL, ROWS = ALULA_GRADIENT_ROWS };
typedef float vector __attribute__((vector_size(4 * ALULA_LANES), aligned(4)));
#define ALULA_UNROLL_ALL _Pragma("clang loop unroll(full)")

// Where a tile of results goes: element (r, j) at out[r * row + j * column], one of the two being 1.
typedef struct { float *out; size_t row, column; bool is_first; } target;

// target(r, j) (+)= sum over pixels of a[pixel][r] * b[pixel][j], j < n <= vectors * lanes.
ALULA_INLINE void tile(const float *a, const float *b, size_t pixels, target t, size_t n, const size_t rows, const size_t vectors) {
    vector sum[ALULA_TILE_ROWS][2];
    ALULA_UNROLL_ALL for (size_t r = 0; r < rows; r++) {
        ALULA_UNROLL_ALL for (size_t v = 0; v < vectors; v++) sum[r][v] = (vector){0};
    }
    for (size_t pixel = 0; pixel < pixels; pixel++, a += ROWS, b += PANEL) {
        vector columns[2];
        ALULA_UNROLL_ALL for (size_t v = 0; v < vectors; v++) columns[v] = *(const vector *)(b + v * ALULA_LANES);
        ALULA_UNROLL_ALL for (size_t r = 0; r < rows; r++) {
            const vector factor = a[r] - (vector){0};        // a broadcast: subtracting 0 changes nothing, and the compiler knows
            ALULA_UNROLL_ALL for (size_t v = 0; v < vectors; v++) sum[r][v] = __builtin_elementwise_fma(factor, columns[v], sum[r][v]);
        }
    }
    if (t.column == 1 && n == vectors * ALULA_LANES) {
        for (size_t r = 0; r < rows; r++) {
            ALULA_UNROLL_ALL for (size_t v = 0; v < vectors; v++) {
                vector *whole = (vector *)(t.out + r * t.row + v * ALULA_LANES);
                *whole = t.is_first ? sum[r][v] : *whole + sum[r][v];
            }
        }
        return;
    }
    for (size_t r = 0; r < rows; r++) {
        const float *sums = (const float *)sum[r];
        for (size_t j = 0; j < n; j++) {
            float *to = t.out + r * t.row + j * t.column;
            *to = t.is_first ? sums[j] : *to + sums[j];
        }
    }
}

ALULA_INLINE target moved(target t, size_t r, size_t j) {
    t.out += r * t.row + j * t.column;
    return t;
}

// A panel of up to 32 columns for some rows of the result.
ALULA_INLINE void panel_rows(const float *a, const float *b, size_t pixels, target t, size_t n, const size_t rows) {
    for (size_t j = 0; j < n; j += 2 * ALULA_LANES) {
        const size_t left = n - j;
        if (left > ALULA_LANES) tile(a, b + j, pixels, moved(t, 0, j), alula_min(left, 2 * ALULA_LANES), rows, 2);
        else tile(a, b + j, pixels, moved(t, 0, j), left, rows, 1);
    }
}

static void multiply(const float *a, const float *b, size_t pixels, target t, size_t n, size_t rows) {
    size_t r = 0;
    for (; r + ALULA_TILE_ROWS <= rows; r += ALULA_TILE_ROWS) panel_rows(a + r, b, pixels, moved(t, r, 0), n, ALULA_TILE_ROWS);
    for (; r + 4 <= rows; r += 4) panel_rows(a + r, b, pixels, moved(t, r, 0), n, 4);
    for (; r < rows; r++) panel_rows(a + r, b, pixels, moved(t, r, 0), n, 1);
}

// Columns of dy as a panel [pixels][width].
ALULA_INLINE void gather_dy(const float *from, size_t stride, size_t pixels, size_t columns, float *to, const size_t width) {
    if (columns == width) {
        for (size_t i = 0; i < pixels; i++, from += stride) __builtin_memcpy(to + i * width, from, width * sizeof(float));
    } else {
        for (size_t i = 0; i < pixels; i++, from += stride) {
            for (size_t j = 0; j < columns; j++) to[i * width + j] = from[j];
        }
    }
}

ALULA_INLINE size_t vectors_of(size_t columns) { return (columns + ALULA_LANES - 1) / ALULA_LANES; }

// Output channels begin..<end of one group. Either dy's columns are the tiles' rows and x's the vectors, or, where that fills vectors better (36 columns
// of x are three vectors of 16), the other way round. Every sum is the same.
static void gradient_of_group(const alula_weight_gradient_f32_args *p, size_t group, size_t begin, size_t end, float *scratch) {
    const alula_window *w = &p->window;
    const size_t width = alula_taps(w) * alula_group_inputs(w), all = alula_pixels(w), outputs = (size_t)w->out_c;
    const bool swaps = width * vectors_of(end - begin) < (end - begin) * vectors_of(width);
    const size_t x_width = swaps ? ROWS : PANEL, dy_width = swaps ? PANEL : ROWS;
    float *dy = scratch, *panels = scratch + PIXELS * PANEL;
    for (size_t first = 0; first < width; first += ALULA_GRADIENT_COLUMNS) {
        const size_t columns = alula_min(ALULA_GRADIENT_COLUMNS, width - first);
        alula_place place = alula_place_of(w, 0);
        for (size_t block = 0; block < all; block += PIXELS) {
            const size_t pixels = alula_min(PIXELS, all - block);
            if (swaps) alula_gather_columns(p, &place, pixels, group, first, columns, panels, ROWS);
            else alula_gather_columns(p, &place, pixels, group, first, columns, panels, PANEL);
            for (size_t row = begin; row < end; row += dy_width) {
                const size_t rows = alula_min(dy_width, end - row);
                const float *from = p->dy + block * outputs + row;
                if (swaps) gather_dy(from, outputs, pixels, rows, dy, PANEL);
                else gather_dy(from, outputs, pixels, rows, dy, ROWS);
                for (size_t j = 0; j < columns; j += x_width) {
                    const float *x = panels + j * PIXELS;
                    float *out = p->output + row * width + first + j;
                    const size_t n = alula_min(x_width, columns - j);
                    if (swaps) multiply(x, dy, pixels, (target){out, 1, width, block == 0}, rows, n);
                    else multiply(dy, x, pixels, (target){out, width, 1, block == 0}, n, rows);
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

// One row of output pixels and some rows of the kernel: a chain of fma for each tap, in registers since the sizes are constants.
ALULA_INLINE void depthwise_row(const alula_weight_gradient_f32_args *p, alula_place place, size_t pixel, size_t c, block16 *total, const int32_t first,
                                const int32_t rows, const int32_t kernel_w) {
    const alula_window *w = &p->window;
    const size_t channels = (size_t)w->in_c;
    block16 row[25];
    ALULA_UNROLL_ALL for (int32_t tap = 0; tap < rows * kernel_w; tap++) row[tap] = (block16){0};
    const int32_t top = place.in_y + first * w->dilation_h, bottom = top + (rows - 1) * w->dilation_h;
    for (int32_t x = 0; x < w->out_w; x++, pixel++, alula_place_advance(w, &place)) {
        const block16 dy = *(const block16 *)(p->dy + pixel * channels + c);
        if (top >= 0 && place.in_x >= 0 && bottom < w->in_h && place.in_x + (kernel_w - 1) * w->dilation_w < w->in_w) {
            const float *corner = p->x + alula_tap_offset(w, &place, first, 0) + c;
            ALULA_UNROLL_ALL for (int32_t ky = 0; ky < rows; ky++) {
                ALULA_UNROLL_ALL for (int32_t kx = 0; kx < kernel_w; kx++) {
                    const float *from = corner + ((size_t)(ky * w->dilation_h) * (size_t)w->in_w + (size_t)(kx * w->dilation_w)) * channels;
                    row[ky * kernel_w + kx] = __builtin_elementwise_fma(dy, *(const block16 *)from, row[ky * kernel_w + kx]);
                }
            }
        } else {
            ALULA_UNROLL_ALL for (int32_t ky = 0; ky < rows; ky++) {
                ALULA_UNROLL_ALL for (int32_t kx = 0; kx < kernel_w; kx++) {
                    const int64_t offset = alula_tap_offset(w, &place, first + ky, kx);
                    if (offset < 0) continue;
                    row[ky * kernel_w + kx] = __builtin_elementwise_fma(dy, *(const block16 *)(p->x + offset + c), row[ky * kernel_w + kx]);
                }
            }
        }
    }
    ALULA_UNROLL_ALL for (int32_t tap = 0; tap < rows * kernel_w; tap++) total[first * kernel_w + tap] += row[tap];
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
            if (w->kernel_h == 2 && w->kernel_w == 2) depthwise_row(p, place, y * row, c, total, 0, 2, 2);
#if ALULA_LANES == 16
            else if (w->kernel_h == 3 && w->kernel_w == 3) depthwise_row(p, place, y * row, c, total, 0, 3, 3);
            else if (w->kernel_h == 5 && w->kernel_w == 5) depthwise_row(p, place, y * row, c, total, 0, 5, 5);
#endif
            else if (w->kernel_w == 3) for (int32_t ky = 0; ky < w->kernel_h; ky++) depthwise_row(p, place, y * row, c, total, ky, 1, 3);
            else if (w->kernel_w == 5) for (int32_t ky = 0; ky < w->kernel_h; ky++) depthwise_row(p, place, y * row, c, total, ky, 1, 5);
            else depthwise_taps(p, place, y * row, c, total);
        }
        const size_t count = alula_min(16, (size_t)w->in_c - c);
        for (size_t tap = 0; tap < taps; tap++) {
            const float *sums = (const float *)&total[tap];
            for (size_t l = 0; l < count; l++) p->output[(c + l) * taps + tap] = sums[l];
        }
    }
}
