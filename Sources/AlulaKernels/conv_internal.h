// What the convolution files share: their kernels' names, the walk over output pixels, and the shape of scratch memory.
#pragma once
#include "alula_kernels.h"
#include "arm.h"
#include "instruction_set.h"

void alula_conv_u8s8_scalar(const void *args, size_t begin, size_t end, void *scratch);
void alula_conv_u8s8_avx2(const void *args, size_t begin, size_t end, void *scratch);
void alula_conv_u8s8_avx512vnni(const void *args, size_t begin, size_t end, void *scratch);
void alula_conv_u8s8_avxvnni(const void *args, size_t begin, size_t end, void *scratch);
void alula_depthwise_u8s8_scalar(const void *args, size_t begin, size_t end, void *scratch);
void alula_depthwise_u8s8_avx2(const void *args, size_t begin, size_t end, void *scratch);
void alula_depthwise_u8s8_avx512vnni(const void *args, size_t begin, size_t end, void *scratch);
void alula_conv_transpose_u8s8_scalar(const void *args, size_t begin, size_t end, void *scratch);
void alula_conv_transpose_u8s8_avx2(const void *args, size_t begin, size_t end, void *scratch);
void alula_pair_u8_scalar(const void *args, size_t begin, size_t end, void *scratch);
void alula_pair_u8_avx2(const void *args, size_t begin, size_t end, void *scratch);
void alula_pair_u8_avxvnni(const void *args, size_t begin, size_t end, void *scratch);
void alula_pair_u8_avx512vnni(const void *args, size_t begin, size_t end, void *scratch);
void alula_pair_u8_neon(const void *args, size_t begin, size_t end, void *scratch);
void alula_pair_u8_neondot(const void *args, size_t begin, size_t end, void *scratch);
void alula_pair_u8_i8mm(const void *args, size_t begin, size_t end, void *scratch);
void alula_pair_u8_simd128(const void *args, size_t begin, size_t end, void *scratch);
void alula_pair_f32_scalar(const void *args, size_t begin, size_t end, void *scratch);
void alula_pair_f32_avx2(const void *args, size_t begin, size_t end, void *scratch);
void alula_pair_f32_avx512vnni(const void *args, size_t begin, size_t end, void *scratch);
void alula_pair_f32_neon(const void *args, size_t begin, size_t end, void *scratch);
void alula_conv_f32_scalar(const void *args, size_t begin, size_t end, void *scratch);
void alula_conv_f32_avx2(const void *args, size_t begin, size_t end, void *scratch);
void alula_conv_f32_avx512(const void *args, size_t begin, size_t end, void *scratch);
void alula_depthwise_f32_scalar(const void *args, size_t begin, size_t end, void *scratch);
void alula_depthwise_f32_avx2(const void *args, size_t begin, size_t end, void *scratch);
void alula_depthwise_f32_avx512(const void *args, size_t begin, size_t end, void *scratch);
void alula_conv_transpose_f32_scalar(const void *args, size_t begin, size_t end, void *scratch);
void alula_conv_u8s8_neon(const void *args, size_t begin, size_t end, void *scratch);
void alula_conv_u8s8_neondot(const void *args, size_t begin, size_t end, void *scratch);
void alula_conv_u8s8_i8mm(const void *args, size_t begin, size_t end, void *scratch);
void alula_depthwise_u8s8_neon(const void *args, size_t begin, size_t end, void *scratch);
void alula_conv_f32_neon(const void *args, size_t begin, size_t end, void *scratch);
void alula_depthwise_f32_neon(const void *args, size_t begin, size_t end, void *scratch);
void alula_conv_u8s8_simd128(const void *args, size_t begin, size_t end, void *scratch);

static inline size_t alula_min(size_t a, size_t b) { return a < b ? a : b; }

// An output pixel, and the top left input position of its window (may be negative: padding).
typedef struct { int32_t image, y, x, in_y, in_x; } alula_place;

static inline alula_place alula_place_of(const alula_window *w, size_t pixel) {
    const size_t plane = (size_t)w->out_h * (size_t)w->out_w, inside = pixel % plane;
    alula_place p;
    p.image = (int32_t)(pixel / plane);
    p.y = (int32_t)(inside / (size_t)w->out_w);
    p.x = (int32_t)(inside % (size_t)w->out_w);
    p.in_y = p.y * w->stride_h - w->pad_top;
    p.in_x = p.x * w->stride_w - w->pad_left;
    return p;
}

static inline size_t alula_pixel_of(const alula_window *w, const alula_place *p) {
    return ((size_t)p->image * (size_t)w->out_h + (size_t)p->y) * (size_t)w->out_w + (size_t)p->x;
}

static inline void alula_place_advance(const alula_window *w, alula_place *p) {
    p->in_x += w->stride_w;
    if (++p->x < w->out_w) return;
    p->x = 0;
    p->in_x = -w->pad_left;
    p->in_y += w->stride_h;
    if (++p->y < w->out_h) return;
    p->y = 0;
    p->in_y = -w->pad_top;
    p->image += 1;
}

// Element offset of the input pixel under tap (ky, kx), or -1 in the padding.
static inline int64_t alula_tap_offset(const alula_window *w, const alula_place *p, int32_t ky, int32_t kx) {
    const int32_t y = p->in_y + ky * w->dilation_h, x = p->in_x + kx * w->dilation_w;
    if (y < 0 || y >= w->in_h || x < 0 || x >= w->in_w) return -1;
    return (((int64_t)p->image * w->in_h + y) * w->in_w + x) * w->in_c;
}

static inline size_t alula_taps(const alula_window *w) { return (size_t)w->kernel_h * (size_t)w->kernel_w; }
// Whether each output pixel sees the input pixel at its own place.
static inline int alula_is_pointwise(const alula_window *w) {
    return w->kernel_h == 1 && w->kernel_w == 1 && w->stride_h == 1 && w->stride_w == 1 && w->in_h == w->out_h && w->in_w == w->out_w
           && w->pad_top == 0 && w->pad_left == 0;
}
static inline size_t alula_pixels(const alula_window *w) { return (size_t)w->batch * (size_t)w->out_h * (size_t)w->out_w; }
static inline size_t alula_group_inputs(const alula_window *w) { return (size_t)(w->in_c / w->groups); }
static inline size_t alula_group_outputs(const alula_window *w) { return (size_t)(w->out_c / w->groups); }

// Kp: the depth of the packed int8 weights.
static inline size_t alula_depth_u8s8(const alula_window *w) { return alula_taps(w) * alula_round_up(alula_group_inputs(w), 4); }

// ---- Row blocks -------------------------------------------------------------------------------------------------------------------
// A kernel takes its range in blocks of rows (output pixels) of about equal size, and meets every weight once a block.

// AVX2 int8 keeps a block's input, gathered and widened to 16 bits, in scratch: at most 128 kB, a part of the second-level cache. Deep layers
// of few rows then read and widen their weights twice rather than three times (64 kB: EfficientFormer-L1 2 % slower; 200 kB: no faster).
enum { ALULA_AVX2_ROW_BYTES = 128 * 1024, ALULA_AVX2_ROWS = 96, ALULA_AVX2_TILE_ROWS = 6 };
// Up to this many rows, widening a panel of weights first does not pay: they are widened in the inner loop.
enum { ALULA_AVX2_DIRECT_ROWS = 3 };
// The others keep a block of pointers, one a row and tap. 96 is a multiple of all tile heights (12, 8, 6).
enum { ALULA_POINTER_ROWS = 96 };
// Bytes that a panel of 16 output channels takes a byte of depth once repacked: reordered on Arm, widened to 16 bits on wasm.
enum { ALULA_REPACKED_BYTES = ALULA_ARM64 ? 16 : 32 };

// Bytes of one widened row; a stride of whole pages would put all rows of a tile into one set of the first-level cache.
static inline size_t alula_avx2_row_bytes(size_t depth) {
    const size_t bytes = alula_round_up(2 * depth, 64);
    return bytes % 2048 == 0 ? bytes + 64 : bytes;
}

static inline size_t alula_avx2_max_rows(size_t depth) {
    const size_t rows = ALULA_AVX2_ROW_BYTES / alula_avx2_row_bytes(depth) / ALULA_AVX2_TILE_ROWS * ALULA_AVX2_TILE_ROWS;
    return rows < ALULA_AVX2_TILE_ROWS ? ALULA_AVX2_TILE_ROWS : alula_min(rows, ALULA_AVX2_ROWS);
}

// Rows of each block but the last when `rows` rows are split into as few blocks as `most` allows, in whole tiles.
static inline size_t alula_block_rows(size_t rows, size_t most, size_t tile) {
    const size_t blocks = (rows + most - 1) / most;
    return alula_min(most, alula_round_up((rows + blocks - 1) / blocks, tile));
}

// AVX2 int8 depthwise: pairs of input rows in a ring, each with the columns that the windows of a row see. With stride 1 two output rows share
// the pairs.
static inline size_t alula_depthwise_shares(const alula_window *w) { return w->stride_h == 1 && w->dilation_h == 1; }
static inline size_t alula_depthwise_pairs(const alula_window *w) { return ((size_t)w->kernel_h + alula_depthwise_shares(w) + 1) / 2; }
// Columns that the windows of `pixels` pixels of a row see.
static inline size_t alula_depthwise_columns(const alula_window *w, size_t pixels) {
    return (pixels - 1) * (size_t)w->stride_w + (size_t)(w->kernel_w - 1) * (size_t)w->dilation_w + 1;
}

// Blocks of 16 channels that share a walk over the rows, so that cache lines are met once; the rings of three fit the first-level cache.
enum { ALULA_DEPTHWISE_BLOCKS = 3 };
static inline size_t alula_depthwise_blocks(size_t channels) { return alula_min((channels + 15) / 16, ALULA_DEPTHWISE_BLOCKS); }

// AVX-512 int8 depthwise: input rows of 64 channels, zipped in quads of rows, within which several output rows lie at the usual distances. So many
// pixels of a row come together that this stays in the first-level cache.
enum { ALULA_DEPTHWISE_WIDTH = 16 };
static inline size_t alula_depthwise_quads(const alula_window *w) { return ((size_t)w->kernel_h + 3) / 4; }
static inline size_t alula_depthwise_rows(const alula_window *w) {
    return w->dilation_h == 1 ? (4 * alula_depthwise_quads(w) - (size_t)w->kernel_h) / (size_t)w->stride_h + 1 : 1;
}
static inline size_t alula_depthwise_zipped_columns(const alula_window *w) {
    return alula_depthwise_columns(w, alula_min((size_t)w->out_w, ALULA_DEPTHWISE_WIDTH));
}

// Whether input and output of an f32 depthwise layer take more than a second-level cache: the kernels then prefetch the next row.
static inline int alula_depthwise_f32_is_large(const alula_window *w) {
    const size_t inputs = (size_t)w->batch * (size_t)w->in_h * (size_t)w->in_w;
    return (inputs + alula_pixels(w)) * (size_t)w->in_c * sizeof(float) > 1024 * 1024;
}

// Pixels that the Arm depthwise kernel takes together.
enum { ALULA_DEPTHWISE_PIXELS = 4 };

// Pointers to the taps of up to 4 pixels of a row, [taps rounded up to even][4]; spare pixels and a spare tap repeat valid ones. Windows
// inside the image (most) need no test a tap.
static inline void alula_fill_depthwise_pointers(const uint8_t **to, const alula_conv_u8s8_args *a, alula_place place, size_t pixels) {
    const alula_window *w = &a->window;
    const size_t most = ALULA_DEPTHWISE_PIXELS, taps = alula_taps(w);
    const size_t step_x = (size_t)w->dilation_w * (size_t)w->in_c, step_y = (size_t)w->dilation_h * (size_t)w->in_w * (size_t)w->in_c;
    const size_t step = (size_t)w->stride_w * (size_t)w->in_c;
    const int32_t last_x = place.in_x + (ALULA_DEPTHWISE_PIXELS - 1) * w->stride_w + (w->kernel_w - 1) * w->dilation_w;
    const int inside = pixels == most && place.in_y >= 0 && place.in_y + (w->kernel_h - 1) * w->dilation_h < w->in_h
                       && place.in_x >= 0 && last_x < w->in_w;
    if (inside) {
        const uint8_t *corner = a->input + alula_tap_offset(w, &place, 0, 0), **entry = to;
        for (int32_t ky = 0; ky < w->kernel_h; ky++, corner += step_y) {
            const uint8_t *from = corner;
            for (int32_t kx = 0; kx < w->kernel_w; kx++, from += step_x, entry += most) {
                for (size_t i = 0; i < most; i++) entry[i] = from + i * step;
            }
        }
    } else {
        for (size_t i = 0; i < most; i++) {
            const uint8_t **entry = to + i;
            for (int32_t ky = 0; ky < w->kernel_h; ky++) {
                for (int32_t kx = 0; kx < w->kernel_w; kx++, entry += most) {
                    const int64_t offset = alula_tap_offset(w, &place, ky, kx);
                    *entry = offset < 0 ? a->pad_row : a->input + offset;
                }
            }
            if (i + 1 < pixels) alula_place_advance(w, &place);
        }
    }
    if (taps % 2) {
        for (size_t i = 0; i < most; i++) to[taps * most + i] = to[(taps - 1) * most + i];
    }
}

// Pointers to the inputs of `rows` output pixels, in groups of `tile` rows: [rows / tile][taps][tile]. place moves on by the rows.
// Pixels of one output row lie at equal distances under a tap, but for those in the padding at its ends: no test a pixel. All pixels do without a
// window, whatever they are rows of.
static inline void alula_fill_pointers(const uint8_t **to, const alula_window *w, const void *input, const void *pad_row, size_t element,
                                       alula_place *place, size_t rows, size_t tile, size_t group) {
    const size_t taps = alula_taps(w), step = (size_t)w->stride_w * (size_t)w->in_c * element;
    const uint8_t *channels = (const uint8_t *)input + group * alula_group_inputs(w) * element;
    if (alula_is_pointwise(w)) {
        const uint8_t *from = channels + (size_t)alula_tap_offset(w, place, 0, 0) * element;
        for (size_t i = 0; i < rows; i++) to[i] = from + i * step;
        *place = alula_place_of(w, alula_pixel_of(w, place) + rows);
        return;
    }
    for (size_t done = 0, run; done < rows; done += run) {
        run = alula_min(alula_min(rows - done, tile - done % tile), (size_t)(w->out_w - place->x));
        const uint8_t **entry = to + done / tile * taps * tile + done % tile;
        for (int32_t ky = 0; ky < w->kernel_h; ky++) {
            const int32_t y = place->in_y + ky * w->dilation_h;
            const int64_t line = ((int64_t)place->image * w->in_h + y) * w->in_w;
            for (int32_t kx = 0; kx < w->kernel_w; kx++, entry += tile) {
                const int32_t x = place->in_x + kx * w->dilation_w;
                size_t first = 0, last = y < 0 || y >= w->in_h ? 0 : run;
                while (first < last && x + (int32_t)first * w->stride_w < 0) first++;
                while (last > first && x + (int32_t)(last - 1) * w->stride_w >= w->in_w) last--;
                for (size_t i = 0; i < first; i++) entry[i] = pad_row;
                const uint8_t *from = channels + (line + x) * w->in_c * (int64_t)element;
                for (size_t i = first; i < last; i++) entry[i] = from + i * step;
                for (size_t i = last; i < run; i++) entry[i] = pad_row;
            }
        }
        place->x += (int32_t)run - 1;
        place->in_x += ((int32_t)run - 1) * w->stride_w;
        alula_place_advance(w, place);
    }
}
