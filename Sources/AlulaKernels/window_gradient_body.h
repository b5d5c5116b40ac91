// Gradients of pools and of attention. Included once by the file of each instruction set.
#include "attention.h"
#include "fma.h"
#include "kernels_internal.h"
#include "math_body.h"
#include "maximum.h"

// ---- Pools ----------------------------------------------------------------------------------------------------------------------------

typedef struct { int32_t y0, y1, x0, x1, count; } pool_taps;    // taps inside the image, and the divisor of an average

static int32_t taps_within(int32_t start, int32_t kernel, int32_t dilation, int32_t size, int32_t *begin, int32_t *end) {
    int32_t count = 0;
    *begin = kernel, *end = kernel;
    for (int32_t k = 0; k < kernel; k++) {
        int32_t position = start + k * dilation;
        if (position < 0 || position >= size) continue;
        if (count == 0) *begin = k;
        *end = k + 1;
        count++;
    }
    return count;
}

static pool_taps taps_of(const alula_pool_f32_args *p, int32_t y, int32_t x) {
    const alula_window *w = &p->window;
    int32_t top = y * w->stride_h - w->pad_top, left = x * w->stride_w - w->pad_left, ignored, end;
    pool_taps t;
    int32_t rows = taps_within(top, w->kernel_h, w->dilation_h, w->in_h, &t.y0, &t.y1);
    int32_t columns = taps_within(left, w->kernel_w, w->dilation_w, w->in_w, &t.x0, &t.x1);
    if (p->count_padding) {
        // As if the image began in its padding.
        rows = taps_within(top + w->pad_top, w->kernel_h, w->dilation_h, w->pad_top + w->in_h + p->pad_bottom, &ignored, &end);
        columns = taps_within(left + w->pad_left, w->kernel_w, w->dilation_w, w->pad_left + w->in_w + p->pad_right, &ignored, &end);
    }
    t.count = rows * columns;
    return t;
}

// To the first largest element of the window; NaN is never larger.
static void spread_maximum(const alula_pool_gradient_f32_args *p, pool_taps t, size_t image, int32_t top, int32_t left, const float *dy) {
    const alula_window *w = &p->pool.window;
    size_t c = (size_t)w->in_c, line = (size_t)w->in_w * c, plane = (size_t)w->in_h * line;
    if (t.y0 >= t.y1 || t.x0 >= t.x1) return;
    for (size_t i = 0; i < c; i++) {
        size_t best = 0;
        float largest = -__builtin_inff();
        bool found = false;
        for (int32_t ky = t.y0; ky < t.y1; ky++) {
            for (int32_t kx = t.x0; kx < t.x1; kx++) {
                size_t at = image * plane + (size_t)(top + ky * w->dilation_h) * line + (size_t)(left + kx * w->dilation_w) * c + i;
                if (!found || p->x[at] > largest) best = at, largest = p->x[at];
                found = true;
            }
        }
        p->output[best] += dy[i];
    }
}

void ALULA_SYMBOL(pool_gradient_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_pool_gradient_f32_args *p = args;
    const alula_window *w = &p->pool.window;
    size_t c = (size_t)w->in_c, line = (size_t)w->in_w * c, plane = (size_t)w->in_h * line;
    for (size_t image = begin; image < end; image++) {
        float *out = p->output + image * plane;
        for (size_t i = 0; i < plane; i++) out[i] = 0.0f;
        const float *dy = p->dy + image * (size_t)w->out_h * (size_t)w->out_w * c;
        for (int32_t y = 0; y < w->out_h; y++) {
            for (int32_t x = 0; x < w->out_w; x++, dy += c) {
                pool_taps t = taps_of(&p->pool, y, x);
                int32_t top = y * w->stride_h - w->pad_top, left = x * w->stride_w - w->pad_left;
                if (p->pool.maximum) {
                    spread_maximum(p, t, image, top, left, dy);
                    continue;
                }
                float inverse = 1.0f / (float)t.count;
                for (int32_t ky = t.y0; ky < t.y1; ky++) {
                    for (int32_t kx = t.x0; kx < t.x1; kx++) {
                        float *to = out + (size_t)(top + ky * w->dilation_h) * line + (size_t)(left + kx * w->dilation_w) * c;
                        ALULA_VECTORIZE for (size_t i = 0; i < c; i++) to[i] += dy[i] * inverse;
                    }
                }
            }
        }
    }
}

// ---- Attention ------------------------------------------------------------------------------------------------------------------------

enum { TILE = 4, LANES = 16 };

// A matrix whose element (i, j) lies at start[i * row + j * column].
typedef struct { const float *start; size_t row, column; } matrix;

ALULA_INLINE void product_tile(matrix a, matrix b, size_t i, size_t j, size_t rows, size_t depth, size_t n, float *out, size_t stride, float scale) {
    float sum[TILE][LANES];
    for (size_t r = 0; r < rows; r++) {
        for (size_t l = 0; l < LANES; l++) sum[r][l] = 0.0f;
    }
    for (size_t k = 0; k < depth; k++) {
        const float *x = b.start + k * b.row + j;
        for (size_t r = 0; r < rows; r++) {
            float factor = a.start[(i + r) * a.row + k * a.column];
            for (size_t l = 0; l < LANES; l++) sum[r][l] = alula_fma(factor, x[l], sum[r][l]);
        }
    }
    for (size_t r = 0; r < rows; r++) {
        float *to = out + (i + r) * stride + j;
        if (n >= LANES) for (size_t l = 0; l < LANES; l++) to[l] = sum[r][l] * scale;
        else for (size_t l = 0; l < n; l++) to[l] = sum[r][l] * scale;
    }
}

// out[rows][columns] = (a b) * scale, every element a chain of fma in order of the inner axis. b's columns are neighbours, read up to 15 beyond the last.
static void product(matrix a, matrix b, size_t rows, size_t depth, size_t columns, float *out, size_t stride, float scale) {
    for (size_t j = 0; j < columns; j += LANES) {
        size_t i = 0;
        for (; i + TILE <= rows; i += TILE) product_tile(a, b, i, j, TILE, depth, columns - j, out, stride, scale);
        for (; i < rows; i++) product_tile(a, b, i, j, 1, depth, columns - j, out, stride, scale);
    }
}

// to[i][j] = from[j][i], rows of `stride` floats.
static void transposed(const float *from, size_t from_stride, size_t rows, size_t columns, float *to, size_t stride) {
    for (size_t i = 0; i < columns; i++) {
        for (size_t j = 0; j < rows; j++) to[i * stride + j] = from[j * from_stride + i];
    }
}

static void softmax_scores(float *t, const float *bias, size_t n) {
    if (bias) {
        ALULA_VECTORIZE for (size_t j = 0; j < n; j++) t[j] = t[j] + bias[j];
    }
    float m = alula_largest(t, n), sum = 0.0f;
    ALULA_VECTORIZE for (size_t j = 0; j < n; j++) t[j] = alula_expf(t[j] - m);
    for (size_t j = 0; j < n; j++) sum += t[j];
    float r = 1.0f / sum;
    ALULA_VECTORIZE for (size_t j = 0; j < n; j++) t[j] = t[j] * r;
}

// With scores s = q kᵀ scale + bias, p = softmax(s), y = p v: dv = pᵀ dy, dp = dy vᵀ, ds = p (dp - Σ dp p), dq = ds k scale, dk = dsᵀ q scale.
void ALULA_SYMBOL(attention_gradient_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    const alula_attention_gradient_f32_args *p = args;
    const alula_attention_shape *s = &p->shape;
    size_t queries = (size_t)s->tokens_q, keys = (size_t)s->tokens_k, key_dim = (size_t)s->key_dim, value_dim = (size_t)s->value_dim;
    size_t width = alula_round_up(keys, LANES), q_stride = (size_t)s->q_stride, k_stride = (size_t)s->k_stride, v_stride = (size_t)s->v_stride;
    size_t o_stride = (size_t)s->o_stride;
    float *columns = scratch, *weights = columns + (key_dim > value_dim ? key_dim : value_dim) * width + LANES;
    for (size_t item = begin; item < end; item++) {
        size_t q_start = (size_t)alula_attention_start(s, item, s->tokens_q, s->q_stride, s->q_head);
        size_t k_start = (size_t)alula_attention_start(s, item, s->tokens_k, s->k_stride, s->k_head);
        size_t v_start = (size_t)alula_attention_start(s, item, s->tokens_k, s->v_stride, s->v_head);
        const float *q = p->q + q_start, *k = p->k + k_start, *v = p->v + v_start;
        const float *dy = p->dy + alula_attention_start(s, item, s->tokens_q, s->o_stride, s->o_head), *bias = alula_attention_bias(s, item);
        float *ds = p->scores + item * queries * keys;
        transposed(k, k_stride, keys, key_dim, columns, width);
        product((matrix){q, q_stride, 1}, (matrix){columns, width, 1}, queries, key_dim, keys, weights, width, s->qk_scale);
        for (size_t i = 0; i < queries; i++) softmax_scores(weights + i * width, bias ? bias + i * keys : 0, keys);
        transposed(v, v_stride, keys, value_dim, columns, width);
        product((matrix){dy, o_stride, 1}, (matrix){columns, width, 1}, queries, value_dim, keys, ds, keys, 1.0f);
        for (size_t i = 0; i < queries; i++) {
            float *d = ds + i * keys, *w = weights + i * width, sum = 0.0f;
            for (size_t j = 0; j < keys; j++) sum = alula_fma(d[j], w[j], sum);
            ALULA_VECTORIZE for (size_t j = 0; j < keys; j++) d[j] = w[j] * (d[j] - sum);
        }
        product((matrix){weights, 1, width}, (matrix){dy, o_stride, 1}, keys, queries, value_dim, p->dv + v_start, v_stride, 1.0f);
        product((matrix){ds, keys, 1}, (matrix){k, k_stride, 1}, queries, keys, key_dim, p->dq + q_start, q_stride, s->qk_scale);
        product((matrix){ds, 1, keys}, (matrix){q, q_stride, 1}, keys, queries, key_dim, p->dk + k_start, k_stride, s->qk_scale);
    }
}
