// What the weight gradients' files share: how scratch memory is divided, and the gathering of a block's input.
#pragma once
#include "conv_internal.h"
#include "fma.h"
#include "kernels_internal.h"

// Columns are the weights of one output channel, [taps][inputs of a group]. A block of pixels meets up to 512 of them at a time, gathered as panels
// [columns / width][pixels][width], of a width of 32 or 12: 512 kB, half of a second-level cache.
// A transposed result of up to 16384 sums lies behind them.
enum { ALULA_GRADIENT_PANEL = 32, ALULA_GRADIENT_COLUMNS = 512, ALULA_GRADIENT_ROWS = 12, ALULA_GRADIENT_SUMS = 16384 };

// panels[j / width][pixel][j % width] = x under column first + j of the pixel, for j < columns. place moves on by the pixels.
ALULA_INLINE void alula_gather_columns(const alula_weight_gradient_f32_args *p, alula_place *place, size_t pixels, size_t group, size_t first, size_t columns,
                                       float *panels, const size_t width) {
    const alula_window *w = &p->window;
    const size_t inputs = alula_group_inputs(w), shift = group * inputs;
    for (size_t pixel = 0; pixel < pixels; pixel++, alula_place_advance(w, place)) {
        size_t tap = first / inputs, channel = first % inputs;
        for (size_t j = 0; j < columns; tap++, channel = 0) {
            const int64_t offset = alula_tap_offset(w, place, (int32_t)(tap / (size_t)w->kernel_w), (int32_t)(tap % (size_t)w->kernel_w));
            const float *from = offset < 0 ? p->pad_row : p->x + (size_t)offset + shift;
            while (channel < inputs && j < columns) {
                const size_t lane = j % width;
                size_t n = alula_min(width - lane, alula_min(inputs - channel, columns - j));
                float *to = panels + (j / width * ALULA_GRADIENT_PIXELS + pixel) * width + lane;
                if (n == width) __builtin_memcpy(to, from + channel, width * sizeof(float));
                else for (size_t i = 0; i < n; i++) to[i] = from[channel + i];
                channel += n, j += n;
            }
        }
    }
}

// Depthwise: blocks of 16 channels that share a walk over the rows, so that cache lines are met once; their totals take 8 kB.
static inline size_t alula_depthwise_gradient_blocks(const alula_window *w) {
    const size_t blocks = ((size_t)w->in_c + 15) / 16, most = 128 / alula_taps(w);
    return alula_min(blocks, most ? most : 1);
}
