// weight_gradient_f32 for instruction sets with vectors of ALULA_LANES floats. Included once by the file of each instruction set.
//
// dyᵀ · x over pixels is a matrix product whose inner axis is the longest. Tiles of dy's columns (rows of the result) by x's columns stay in registers for a
// block of pixels: 12 x 32 with AVX-512 (24 accumulators for 2 + 12 loads), 6 x 16 with AVX2. Both operands are read where they lie, a part of each pixel's
// row: lines come from the second-level cache in time, and gathering them into panels first took a tenth of the time. Only windows of more than a pixel are
// gathered. A last vector reads up to 60 bytes beyond the tensor's end, as kernels may, and what it makes of them is not stored.
//
// Bound: one fused multiply-add a cycle, and the two tensors from memory once. Layers of few channels need the memory half the time, so the tiles of a block
// prefetch the next block.
#include "weight_gradient.h"

enum { PIXELS = ALULA_GRADIENT_PIXELS, PANEL = ALULA_GRADIENT_PANEL, ROWS = ALULA_GRADIENT_ROWS };
typedef float vector __attribute__((vector_size(4 * ALULA_LANES), aligned(4)));
#define ALULA_UNROLL_ALL _Pragma("clang loop unroll(full)")

// Where a tile of results goes: element (r, j) at out[r * row + j].
typedef struct { float *out; size_t row; bool is_first; } target;

// What tiles bring into the second-level cache, so many bytes a pixel.
typedef struct { const char *x, *dy; size_t x_step, dy_step; } prefetch;

// Neighbouring columns for a block of pixels: at[pixel * stride + column].
typedef struct { const float *at; size_t stride; } operand;

// target(r, j) (+)= sum over pixels of a[pixel][r] * b[pixel][j], j < n <= vectors * lanes.
#define ALULA_GRADIENT_TILE(name, type, lanes)                                                                                                      \
    ALULA_INLINE void name(operand left, operand right, size_t pixels, target t, size_t n, prefetch *ahead, const size_t rows, const size_t vectors) { \
        type sum[ALULA_TILE_ROWS][2];                                                                                                               \
        ALULA_UNROLL_ALL for (size_t r = 0; r < rows; r++) {                                                                                        \
            ALULA_UNROLL_ALL for (size_t v = 0; v < vectors; v++) sum[r][v] = (type){0};                                                            \
        }                                                                                                                                           \
        ALULA_UNROLL_ALL for (size_t r = 0; r < rows; r++) {                                                                                        \
            ALULA_UNROLL_ALL for (size_t v = 0; v < vectors; v++) __builtin_prefetch(t.out + r * t.row + v * lanes, 1, 3);                          \
        }                                                                                                                                           \
        const float *a = left.at, *b = right.at;                                                                                                    \
        const char *ahead_x = ahead->x, *ahead_dy = ahead->dy;                                                                                      \
        for (size_t pixel = 0; pixel < pixels; pixel++, a += left.stride, b += right.stride) {                                                  \
            __builtin_prefetch(ahead_x, 0, 2);                                                                                                      \
            __builtin_prefetch(ahead_dy, 0, 2);                                                                                                     \
            ahead_x += ahead->x_step, ahead_dy += ahead->dy_step;                                                                                   \
            type columns[2];                                                                                                                        \
            ALULA_UNROLL_ALL for (size_t v = 0; v < vectors; v++) columns[v] = *(const type *)(b + v * lanes);                                      \
            ALULA_UNROLL_ALL for (size_t r = 0; r < rows; r++) {                                                                                    \
                const type factor = a[r] - (type){0};        /* a broadcast: subtracting 0 changes nothing, and the compiler knows */               \
                ALULA_UNROLL_ALL for (size_t v = 0; v < vectors; v++) sum[r][v] = __builtin_elementwise_fma(factor, columns[v], sum[r][v]);         \
            }                                                                                                                                       \
        }                                                                                                                                           \
        ahead->x = ahead_x, ahead->dy = ahead_dy;                                                                                                   \
        if (n == vectors * lanes) {                                                                                                                 \
            for (size_t r = 0; r < rows; r++) {                                                                                                     \
                ALULA_UNROLL_ALL for (size_t v = 0; v < vectors; v++) {                                                                             \
                    type *whole = (type *)(t.out + r * t.row + v * lanes);                                                                          \
                    *whole = t.is_first ? sum[r][v] : *whole + sum[r][v];                                                                           \
                }                                                                                                                                   \
            }                                                                                                                                       \
            return;                                                                                                                                 \
        }                                                                                                                                           \
        for (size_t r = 0; r < rows; r++) {                                                                                                         \
            const float *sums = (const float *)sum[r];                                                                                              \
            for (size_t j = 0; j < n; j++) {                                                                                                        \
                float *to = t.out + r * t.row + j;                                                                                                  \
                *to = t.is_first ? sums[j] : *to + sums[j];                                                                                         \
            }                                                                                                                                       \
        }                                                                                                                                           \
    }
ALULA_GRADIENT_TILE(tile, vector, ALULA_LANES)
#if ALULA_LANES == 16
// Half vectors take half the time on processors that have two units of 256 bits for one of 512.
typedef float half_vector __attribute__((vector_size(2 * ALULA_LANES), aligned(4)));
enum { HALF = ALULA_LANES / 2 };
ALULA_GRADIENT_TILE(half_tile, half_vector, HALF)
#else
enum { HALF = 0 };
#define half_tile tile
#endif

ALULA_INLINE operand moved(operand o, size_t columns) {
    o.at += columns;
    return o;
}

// Up to 32 columns for some rows of the result.
ALULA_INLINE void panel_rows(operand a, operand b, size_t pixels, target t, size_t n, prefetch *ahead, const size_t rows) {
    for (size_t j = 0; j < n; j += 2 * ALULA_LANES) {
        const size_t left = n - j;
        const target to = {t.out + j, t.row, t.is_first};
        if (left > ALULA_LANES) tile(a, moved(b, j), pixels, to, alula_min(left, 2 * ALULA_LANES), ahead, rows, 2);
        else if (left > HALF) tile(a, moved(b, j), pixels, to, left, ahead, rows, 1);
        else half_tile(a, moved(b, j), pixels, to, left, ahead, rows, 1);
    }
}

static void multiply(operand a, operand b, size_t pixels, target t, size_t n, size_t rows, prefetch *ahead) {
    for (size_t r = 0, step; r < rows; r += step, a.at += step, t.out += step * t.row) {
        step = rows - r >= ALULA_TILE_ROWS ? ALULA_TILE_ROWS : rows - r >= 4 ? 4 : 1;
        if (step == ALULA_TILE_ROWS) panel_rows(a, b, pixels, t, n, ahead, ALULA_TILE_ROWS);
        else if (step == 4) panel_rows(a, b, pixels, t, n, ahead, 4);
        else panel_rows(a, b, pixels, t, n, ahead, 1);
    }
}

// Half vectors that columns take in tiles.
ALULA_INLINE size_t halves_of(size_t columns) {
    const size_t left = columns % ALULA_LANES;
    return columns / ALULA_LANES * 2 + (left > HALF ? 2 : left > 0);
}

// Output channels begin..<end of one group. Either dy's columns are the tiles' rows and x's the vectors, or, where that fills vectors better (36 columns
// of x are three vectors of 16) and the transposed result fits scratch, the other way round. Every sum is the same.
static void gradient_of_group(const alula_weight_gradient_f32_args *p, size_t group, size_t begin, size_t end, float *scratch) {
    const alula_window *w = &p->window;
    const size_t width = alula_taps(w) * alula_group_inputs(w), all = alula_pixels(w), outputs = (size_t)w->out_c, inputs = (size_t)w->in_c;
    const size_t sums = alula_round_up(end - begin, PANEL);                        // a row of the transposed result
    const bool swaps = width * halves_of(end - begin) < (end - begin) * halves_of(width) && width * sums <= ALULA_GRADIENT_SUMS;
    const size_t x_width = swaps ? ROWS : PANEL, dy_width = swaps ? PANEL : ROWS;
    // On average: with a stride, a pixel of dy goes with several of x.
    const size_t x_pixel = (size_t)w->batch * (size_t)w->in_h * (size_t)w->in_w * inputs / all;
    const size_t tiles = ((width + x_width - 1) / x_width) * ((end - begin + dy_width - 1) / dy_width);
    float *panels = scratch, *transposed = panels + PIXELS * (ALULA_GRADIENT_COLUMNS + ROWS);
    for (size_t block = 0; block < all; block += PIXELS) {
        const size_t pixels = alula_min(PIXELS, all - block), next = block + pixels;
        prefetch ahead = {(const char *)(p->x + next * x_pixel), (const char *)(p->dy + next * outputs), x_pixel * sizeof(float) / tiles,
                          outputs * sizeof(float) / tiles};
        for (size_t first = 0, columns; first < width; first += columns) {
            columns = alula_min(alula_gradient_columns(width), width - first);
            operand x = {p->x + block * inputs + group * alula_group_inputs(w) + first, inputs};
            size_t x_panel = x_width;
            if (!alula_is_pointwise(w)) {
                const alula_place place = alula_place_of(w, block);
                if (swaps) alula_gather_columns(p, place, pixels, group, first, columns, panels, ROWS);
                else alula_gather_columns(p, place, pixels, group, first, columns, panels, PANEL);
                x = (operand){panels, x_width};
                x_panel = PIXELS * x_width;
            }
            for (size_t row = begin; row < end; row += dy_width) {
                const size_t rows = alula_min(dy_width, end - row);
                const operand dy = {p->dy + block * outputs + row, outputs};
                for (size_t j = 0; j < columns; j += x_width) {
                    const operand at = {x.at + j / x_width * x_panel, x.stride};
                    const size_t n = alula_min(x_width, columns - j);
                    const target direct = {p->output + row * width + first + j, width, block == 0};
                    if (swaps) multiply(at, dy, pixels, (target){transposed + (first + j) * sums + (row - begin), sums, block == 0}, rows, n, &ahead);
                    else multiply(dy, at, pixels, direct, n, rows, &ahead);
                }
            }
        }
    }
    for (size_t row = begin; swaps && row < end; row++) {
        for (size_t j = 0; j < width; j++) p->output[row * width + j] = transposed[j * sums + (row - begin)];
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
