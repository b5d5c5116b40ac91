// The definition of the weight gradients.
#pragma STDC FP_CONTRACT OFF
#include "weight_gradient.h"

size_t alula_weight_gradient_f32_scratch(const alula_weight_gradient_f32_args *args) {
    (void)args;
    // Columns filled up to whole panels, and a transposed result.
    return (ALULA_GRADIENT_PIXELS * (ALULA_GRADIENT_COLUMNS + ALULA_GRADIENT_ROWS) + (size_t)ALULA_GRADIENT_SUMS) * sizeof(float);
}

size_t alula_depthwise_weight_gradient_f32_scratch(const alula_weight_gradient_f32_args *args) {
    return alula_depthwise_gradient_blocks(&args->window) * alula_taps(&args->window) * 16 * sizeof(float);
}

// Rows of up to 16 neighbouring weights of one output channel are summed side by side, each in its own order.
enum { LANES = 16 };

static void sum_pixels(const float *dy, size_t stride, const float *x, size_t pixels, float *out, size_t n, bool is_first) {
    float sum[LANES] = {0};
    for (size_t pixel = 0; pixel < pixels; pixel++, dy += stride, x += ALULA_GRADIENT_PANEL) {
        for (size_t l = 0; l < n; l++) sum[l] = alula_fma(*dy, x[l], sum[l]);
    }
    for (size_t l = 0; l < n; l++) out[l] = is_first ? sum[l] : out[l] + sum[l];
}

void alula_weight_gradient_f32_scalar(const void *args, size_t begin, size_t end, void *scratch) {
    const alula_weight_gradient_f32_args *p = args;
    const alula_window *w = &p->window;
    const size_t outputs = alula_group_outputs(w), width = alula_taps(w) * alula_group_inputs(w), all = alula_pixels(w);
    while (begin < end) {
        const size_t group = begin / outputs, stop = alula_min(end, (group + 1) * outputs);
        for (size_t block = 0; block < all; block += ALULA_GRADIENT_PIXELS) {
            const size_t pixels = alula_min(ALULA_GRADIENT_PIXELS, all - block);
            for (size_t first = 0, columns; first < width; first += columns) {
                columns = alula_min(alula_gradient_columns(width), width - first);
                alula_gather_columns(p, alula_place_of(w, block), pixels, group, first, columns, scratch, ALULA_GRADIENT_PANEL);
                for (size_t o = begin; o < stop; o++) {
                    for (size_t j = 0; j < columns; j += LANES) {
                        const float *panel = (const float *)scratch + j / ALULA_GRADIENT_PANEL * ALULA_GRADIENT_PIXELS * ALULA_GRADIENT_PANEL;
                        sum_pixels(p->dy + block * (size_t)w->out_c + o, (size_t)w->out_c, panel + j % ALULA_GRADIENT_PANEL, pixels,
                                   p->output + o * width + first + j, alula_min(LANES, columns - j), block == 0);
                    }
                }
            }
        }
        begin = stop;
    }
}

void alula_depthwise_weight_gradient_f32_scalar(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_weight_gradient_f32_args *p = args;
    const alula_window *w = &p->window;
    const size_t taps = alula_taps(w), channels = (size_t)w->in_c, rows = (size_t)w->batch * (size_t)w->out_h;
    for (size_t c = 16 * begin; c < alula_min(16 * end, channels); c++) {
        for (size_t tap = 0; tap < taps; tap++) {
            const int32_t ky = (int32_t)tap / w->kernel_w, kx = (int32_t)tap % w->kernel_w;
            float total = 0.0f;
            for (size_t y = 0; y < rows; y++) {
                size_t pixel = y * (size_t)w->out_w;
                alula_place place = alula_place_of(w, pixel);
                float sum = 0.0f;
                for (int32_t x = 0; x < w->out_w; x++, pixel++, alula_place_advance(w, &place)) {
                    const int64_t offset = alula_tap_offset(w, &place, ky, kx);
                    if (offset >= 0) sum = alula_fma(p->dy[pixel * channels + c], p->x[(size_t)offset + c], sum);
                }
                total += sum;
            }
            p->output[c * taps + tap] = total;
        }
    }
}
