// The walk of an int8 convolution over blocks of rows and panels of 16 output channels, for the instruction sets whose tiles read the input
// in place through pointers (Arm, wasm).
#pragma once
#include "conv_internal.h"

// A panel of 16 output channels (the last may have less) and where its results go.
typedef struct {
    const alula_conv_u8s8_args *args;
    const int8_t *weight;         // [taps][quads][16][4], or as the instruction set repacked it
    const int32_t *bias;          // with 128 times the sum of the weights where the activations' sign bit is flipped
    const float *multiplier;
    size_t taps, quads, column, count;
} alula_panel;

// rows x 16 results. pointers: [taps][stride], of which the first `rows` of each tap are this tile's.
typedef void (*alula_panel_tile)(const alula_panel *p, size_t row, const uint8_t *const *pointers, size_t stride);

// Tiles by height, the highest first, the last of height 1.
typedef struct { size_t rows; alula_panel_tile tile; } alula_panel_height;

// Makes a panel ready for `rows` rows (repacks weights, adjusts the bias) and says which tiles take it.
typedef const alula_panel_height *(*alula_panel_prepare)(alula_panel *p, int8_t *repacked, int32_t bias[16], size_t rows);

static inline __attribute__((always_inline)) void alula_walk_panels(const alula_conv_u8s8_args *a, size_t begin, size_t end, void *scratch,
                                                                    alula_panel_prepare prepare) {
    const alula_window *w = &a->window;
    if (begin >= end) return;
    const size_t outputs = alula_group_outputs(w), padded = alula_round_up(outputs, 16), depth = alula_depth_u8s8(w);
    const size_t taps = alula_taps(w), quads = (alula_group_inputs(w) + 3) / 4;
    // One stride for all tiles, as pointers are filled once a block of rows: [taps][block]. The repacked panel lies behind them.
    const size_t block = alula_block_rows(end - begin, ALULA_POINTER_ROWS, 12);
    const uint8_t *const *pointers = scratch;
    int8_t *repacked = (int8_t *)scratch + alula_round_up(block * taps * sizeof(void *), 64);
    alula_place block_place = alula_place_of(w, begin);
    for (size_t row = begin; row < end; row += block) {
        const size_t rows = alula_min(block, end - row);
        alula_place place = block_place;
        for (size_t group = 0; group < (size_t)w->groups; group++) {
            place = block_place;
            alula_fill_pointers(scratch, w, a->input, a->pad_row, 1, &place, rows, block, group);
            for (size_t n = 0; n < outputs; n += 16) {
                const size_t channel = group * padded + n;
                int32_t bias[16];
                alula_panel p = {a, a->weight + channel * depth, a->bias + channel, a->multiplier + channel, taps, quads,
                                 group * outputs + n, alula_min(16, outputs - n)};
                const alula_panel_height *height = prepare(&p, repacked, bias, rows);
                for (size_t done = 0; done < rows; done += height->rows) {
                    while (height->rows > rows - done) height++;
                    height->tile(&p, row + done, pointers + done, block);
                }
            }
        }
        block_place = place;
    }
}
