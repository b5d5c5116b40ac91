// What the weight gradients' files share: how scratch memory is divided, and the gathering of a block's input.
#pragma once
#include "conv_internal.h"
#include "fma.h"
#include "kernels_internal.h"

// Columns are the weights of one output channel, [taps][inputs of a group]. A block of pixels meets up to 512 of them at a time: 512 kB, half of a
// second-level cache. Where they are gathered, they lie as panels [columns / width][pixels][width], of a width of 32 or 12.
// A transposed result of up to 16384 sums lies behind them.
enum { ALULA_GRADIENT_PANEL = 32, ALULA_GRADIENT_COLUMNS = 512, ALULA_GRADIENT_ROWS = 12, ALULA_GRADIENT_SUMS = 16384 };

// Columns of all chunks but the last: about equal numbers of whole panels.
ALULA_INLINE size_t alula_gradient_columns(size_t width) {
    const size_t chunks = (width + ALULA_GRADIENT_COLUMNS - 1) / ALULA_GRADIENT_COLUMNS;
    return alula_round_up((width + chunks - 1) / chunks, ALULA_GRADIENT_PANEL);
}

// panels[j / width][pixel][j % width] = x under column first + j of each of some pixels, for j < columns. Neighbouring taps of a row of the kernel lie
// side by side in x, too, where nothing is in the padding.
ALULA_INLINE void alula_gather_columns(const alula_weight_gradient_f32_args *p, alula_place place, size_t pixels, size_t group, size_t first, size_t columns,
                                       float *panels, const size_t width) {
    const alula_window *w = &p->window;
    const size_t inputs = alula_group_inputs(w), shift = group * inputs;
    const bool has_rows = w->dilation_w == 1 && w->groups == 1;
    for (size_t pixel = 0; pixel < pixels; pixel++, alula_place_advance(w, &place)) {
        const bool is_inside = has_rows && place.in_x >= 0 && place.in_x + w->kernel_w <= w->in_w;
        int32_t ky = (int32_t)(first / inputs) / w->kernel_w, kx = (int32_t)(first / inputs) % w->kernel_w;
        size_t channel = first % inputs;
        for (size_t j = 0; j < columns; channel = 0) {
            const int64_t offset = alula_tap_offset(w, &place, ky, kx);
            const float *from = offset < 0 ? p->pad_row : p->x + (size_t)offset + shift;
            const int32_t taps = is_inside && offset >= 0 ? w->kernel_w - kx : 1;
            for (const size_t end = (size_t)taps * inputs; channel < end && j < columns;) {
                const size_t lane = j % width, n = alula_min(width - lane, alula_min(end - channel, columns - j));
                float *to = panels + (j / width * ALULA_GRADIENT_PIXELS + pixel) * width + lane;
                if (n == width) __builtin_memcpy(to, from + channel, width * sizeof(float));
                else for (size_t i = 0; i < n; i++) to[i] = from[channel + i];
                channel += n, j += n;
            }
            kx += taps;
            if (kx >= w->kernel_w) kx = 0, ky++;
        }
    }
}

// Depthwise: blocks of 16 channels that share a walk over the rows, so that cache lines are met once; their totals take 8 kB.
static inline size_t alula_depthwise_gradient_blocks(const alula_window *w) {
    const size_t blocks = ((size_t)w->in_c + 15) / 16, most = 128 / alula_taps(w);
    return alula_min(blocks, most ? most : 1);
}
