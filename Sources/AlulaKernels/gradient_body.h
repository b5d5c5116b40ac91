// Gradients of elementwise functions and normalizations, and sums by channel. Included once by the file of each instruction set.
#include "derivatives.h"
#include "kernels_internal.h"

// out = dy * slope(x); out may be dy or x.
#define ALULA_SLOPE(expression)                             \
    ALULA_VECTORIZE for (size_t i = 0; i < n; i++) {        \
        float x = in[i], d = dy[i];                         \
        (void)x;                                            \
        out[i] = d * (expression);                          \
    }                                                       \
    break;

// q: the function's parameters, for those that have some.
static void multiply_slope(int32_t function, const float *q, const float *dy, const float *in, float *out, size_t n) {
    float first = q ? q[0] : 0.0f, second = q ? q[1] : 0.0f, third = q ? q[2] : 0.0f, fourth = q ? q[3] : 0.0f;
    switch ((alula_unary)function) {
    case ALULA_NONE: ALULA_SLOPE(1.0f)
    case ALULA_RELU: ALULA_SLOPE(x > 0.0f ? 1.0f : 0.0f)
    case ALULA_GELU: ALULA_SLOPE(alula_gelu_slope(x))
    case ALULA_GELU_TANH: ALULA_SLOPE(alula_gelu_tanh_slope(x))
    case ALULA_SILU: ALULA_SLOPE(alula_gated_slope(x, x, 1.0f))
    case ALULA_SIGMOID: ALULA_SLOPE(alula_sigmoid_slope(x))
    case ALULA_TANH: ALULA_SLOPE(alula_tanh_slope(x))
    case ALULA_HARD_SWISH: ALULA_SLOPE(alula_hard_swish_slope(x))
    case ALULA_HARD_SIGMOID: ALULA_SLOPE(alula_within(x, -3.0f, 3.0f, 1.0f / 6.0f))
    case ALULA_RELU6: ALULA_SLOPE(alula_within(x, 0.0f, 6.0f, 1.0f))
    case ALULA_EXP: ALULA_SLOPE(alula_expf(x))
    case ALULA_LOG: ALULA_SLOPE(1.0f / x)
    case ALULA_SQRT: ALULA_SLOPE(0.5f / alula_sqrtf(x))
    case ALULA_RSQRT: ALULA_SLOPE(-0.5f / (x * alula_sqrtf(x)))
    case ALULA_RECIPROCAL: ALULA_SLOPE(-1.0f / (x * x))
    case ALULA_NEGATE: ALULA_SLOPE(-1.0f)
    case ALULA_ABS: ALULA_SLOPE(alula_signf(x))
    case ALULA_ERF: ALULA_SLOPE(1.12837917f * alula_expf(-(x * x)))
    case ALULA_SIN: ALULA_SLOPE(alula_cosf(x))
    case ALULA_COS: ALULA_SLOPE(-alula_sinf(x))
    case ALULA_TAN: ALULA_SLOPE(alula_tan_slope(x))
    case ALULA_ASIN: ALULA_SLOPE(1.0f / alula_sqrtf(1.0f - x * x))
    case ALULA_ACOS: ALULA_SLOPE(-1.0f / alula_sqrtf(1.0f - x * x))
    case ALULA_ATAN: ALULA_SLOPE(1.0f / (1.0f + x * x))
    case ALULA_SINH: ALULA_SLOPE(alula_coshf(x))
    case ALULA_COSH: ALULA_SLOPE(alula_sinhf(x))
    case ALULA_ASINH: ALULA_SLOPE(1.0f / alula_sqrtf(x * x + 1.0f))
    case ALULA_ACOSH: ALULA_SLOPE(1.0f / alula_sqrtf(x * x - 1.0f))
    case ALULA_ATANH: ALULA_SLOPE(1.0f / (1.0f - x * x))
    case ALULA_FLOOR:
    case ALULA_CEIL:
    case ALULA_SIGN:
    case ALULA_ROUND: ALULA_SLOPE(0.0f)
    case ALULA_SOFTPLUS: ALULA_SLOPE(alula_sigmoidf(x))
    case ALULA_SOFTSIGN: ALULA_SLOPE(alula_softsign_slope(x))
    case ALULA_MISH: ALULA_SLOPE(alula_mish_slope(x))
    case ALULA_SWISH: ALULA_SLOPE(alula_gated_slope(x, first * x, first))
    case ALULA_LEAKY_RELU: ALULA_SLOPE(x < 0.0f ? first : 1.0f)
    case ALULA_ELU: ALULA_SLOPE(alula_elu_slope(x, first, second, third))
    case ALULA_THRESHOLDED_RELU: ALULA_SLOPE(x > first ? 1.0f : 0.0f)
    case ALULA_SHRINK: ALULA_SLOPE(alula_absf(x) > first ? 1.0f : 0.0f)
    case ALULA_CLIP: ALULA_SLOPE(alula_within(x * third + fourth, first, second, third))
    }
}

void ALULA_SYMBOL(unary_gradient_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_unary_gradient_f32_args *p = args;
    multiply_slope(p->function, p->parameters, p->dy + begin, p->x + begin, p->output + begin, end - begin);
}

// ---- Sums by channel ------------------------------------------------------------------------------------------------------------------

typedef struct { size_t begin, end; } row_range;

ALULA_INLINE row_range chunk_rows(size_t chunk, int32_t rows) {
    size_t begin = chunk * ALULA_CHANNEL_ROWS;
    return (row_range){begin, alula_min_size(begin + ALULA_CHANNEL_ROWS, (size_t)rows)};
}

void ALULA_SYMBOL(channel_sum_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_channel_sum_f32_args *p = args;
    size_t c = (size_t)p->c;
    for (size_t chunk = begin; chunk < end; chunk++) {
        row_range r = chunk_rows(chunk, p->rows);
        float *out = p->partial + chunk * c;
        for (size_t i = 0; i < c; i++) out[i] = 0.0f;
        for (size_t row = r.begin; row < r.end; row++) {
            const float *a = p->a + row * c;
            if (p->b) {
                const float *b = p->b + row * c;
                ALULA_VECTORIZE for (size_t i = 0; i < c; i++) out[i] += a[i] * b[i];
            } else {
                ALULA_VECTORIZE for (size_t i = 0; i < c; i++) out[i] += a[i];
            }
        }
    }
}

void ALULA_SYMBOL(channel_total_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_channel_total_f32_args *p = args;
    size_t n = (size_t)p->n;
    for (size_t i = begin; i < end; i++) {
        double sum = 0.0;
        for (size_t chunk = 0; chunk < (size_t)p->chunks; chunk++) sum += (double)p->partial[chunk * n + i];
        p->output[i] = (float)sum;
    }
}

void ALULA_SYMBOL(channel_moments_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_channel_moments_f32_args *p = args;
    size_t c = (size_t)p->c;
    for (size_t chunk = begin; chunk < end; chunk++) {
        row_range r = chunk_rows(chunk, p->rows);
        float *mean = p->partial + 2 * chunk * c, *squares = mean + c, count = (float)(r.end - r.begin);
        for (size_t i = 0; i < c; i++) mean[i] = 0.0f, squares[i] = 0.0f;
        for (size_t row = r.begin; row < r.end; row++) {
            const float *x = p->x + row * c;
            ALULA_VECTORIZE for (size_t i = 0; i < c; i++) mean[i] += x[i];
        }
        for (size_t i = 0; i < c; i++) mean[i] = mean[i] / count;
        for (size_t row = r.begin; row < r.end; row++) {
            const float *x = p->x + row * c;
            ALULA_VECTORIZE for (size_t i = 0; i < c; i++) {
                float d = x[i] - mean[i];
                squares[i] += d * d;
            }
        }
    }
}

void ALULA_SYMBOL(channel_variance_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_channel_variance_f32_args *p = args;
    size_t c = (size_t)p->c, chunks = ((size_t)p->rows + ALULA_CHANNEL_ROWS - 1) / ALULA_CHANNEL_ROWS;
    double rows = (double)p->rows;
    for (size_t i = begin; i < end; i++) {
        double sum = 0.0, squares = 0.0;
        for (size_t chunk = 0; chunk < chunks; chunk++) {
            row_range r = chunk_rows(chunk, p->rows);
            sum += (double)(r.end - r.begin) * (double)p->partial[2 * chunk * c + i];
        }
        double mean = sum / rows;
        for (size_t chunk = 0; chunk < chunks; chunk++) {
            row_range r = chunk_rows(chunk, p->rows);
            double d = (double)p->partial[2 * chunk * c + i] - mean;
            squares += (double)p->partial[(2 * chunk + 1) * c + i] + (double)(r.end - r.begin) * (d * d);
        }
        p->mean[i] = (float)mean;
        p->variance[i] = (float)(squares / rows);
    }
}

// ---- Batch norm -----------------------------------------------------------------------------------------------------------------------

void ALULA_SYMBOL(batch_norm_scale_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_batch_norm_scale_f32_args *p = args;
    for (size_t i = begin; i < end; i++) {
        p->scale[i] = p->gamma[i] / alula_sqrtf(p->variance[i] + p->epsilon);
        p->shift[i] = p->beta[i] - p->mean[i] * p->scale[i];
    }
}

void ALULA_SYMBOL(batch_norm_sums_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_batch_norm_sums_f32_args *p = args;
    size_t c = (size_t)p->c;
    const float *scale = p->scale, *shift = p->shift, *mean = p->mean;
    for (size_t chunk = begin; chunk < end; chunk++) {
        row_range r = chunk_rows(chunk, p->rows);
        float *sum = p->partial + 2 * chunk * c, *product = sum + c;
        for (size_t i = 0; i < c; i++) sum[i] = 0.0f, product[i] = 0.0f;
        for (size_t row = r.begin; row < r.end; row++) {
            const float *x = p->x + row * c, *g = p->dy + row * c;
            if (p->activation != ALULA_NONE) {
                // A few channels at a time, so that what goes into the activation stays in the first-level cache.
                float *out = p->g + row * c, inner[256];
                for (size_t first = 0; first < c; first += 256) {
                    size_t n = alula_min_size(256, c - first);
                    ALULA_VECTORIZE for (size_t i = 0; i < n; i++) inner[i] = x[first + i] * scale[first + i] + shift[first + i];
                    multiply_slope(p->activation, 0, g + first, inner, out + first, n);
                }
                g = out;
            }
            ALULA_VECTORIZE for (size_t i = 0; i < c; i++) {
                sum[i] += g[i];
                product[i] += g[i] * (x[i] - mean[i]);
            }
        }
    }
}

// With r = 1 / sqrt(variance + epsilon), normalized x is (x - mean) r, and dx = gamma r (g - dbeta / n - (x - mean) r dgamma / n).
void ALULA_SYMBOL(batch_norm_factors_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_batch_norm_factors_f32_args *p = args;
    size_t c = (size_t)p->c;
    float n = (float)p->rows;
    for (size_t i = begin; i < end; i++) {
        float r = 1.0f / alula_sqrtf(p->variance[i] + p->epsilon), sum = p->total[i], product = p->total[c + i];
        float scale = p->gamma[i] * r;
        p->dbeta[i] = sum;
        p->dgamma[i] = product * r;
        p->factors[i] = scale;
        p->factors[c + i] = p->is_constant ? 0.0f : -((scale * (r * r)) * (product / n));
        p->factors[2 * c + i] = p->is_constant ? 0.0f : -(scale * (sum / n));
    }
}

void ALULA_SYMBOL(batch_norm_gradient_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_batch_norm_gradient_f32_args *p = args;
    size_t c = (size_t)p->c;
    const float *mean = p->mean, *scale = p->factors, *slope = scale + c, *offset = slope + c;
    for (size_t row = begin; row < end; row++) {
        const float *g = p->g + row * c, *x = p->x + row * c;
        float *out = p->output + row * c;
        ALULA_VECTORIZE for (size_t i = 0; i < c; i++) out[i] = (g[i] * scale[i] + (x[i] - mean[i]) * slope[i]) + offset[i];
    }
}

// ---- Layer norm -----------------------------------------------------------------------------------------------------------------------

ALULA_INLINE float sum_of_lanes(const float *s) { return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7])); }

#define ALULA_SUM_ROW(result, expression)                                     \
    {                                                                         \
        float s[8] = {0};                                                     \
        for (size_t j = 0; j < whole; j += 8) {                               \
            for (size_t l = 0; l < 8; l++) { size_t i = j + l; s[l] += (expression); } \
        }                                                                     \
        for (size_t l = 0; l < c - whole; l++) { size_t i = whole + l; s[l] += (expression); } \
        result = sum_of_lanes(s);                                             \
    }

// With u = normalized x and h = dy gamma: dx = r (h - mean(h) - u mean(h u)).
void ALULA_SYMBOL(layernorm_gradient_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_layernorm_gradient_f32_args *p = args;
    size_t c = (size_t)p->c, whole = c / 8 * 8;
    const float *gamma = p->gamma;
    float size = (float)p->c;
    for (size_t chunk = begin; chunk < end; chunk++) {
        row_range range = chunk_rows(chunk, p->rows);
        float *dgamma = p->partial + 2 * chunk * c, *dbeta = dgamma + c;
        for (size_t i = 0; i < c; i++) dgamma[i] = 0.0f, dbeta[i] = 0.0f;
        for (size_t row = range.begin; row < range.end; row++) {
            const float *x = p->x + row * c, *dy = p->dy + row * c;
            float *out = p->output + row * c, mean, variance, h, hu;
            ALULA_SUM_ROW(mean, x[i])
            mean = mean / size;
            ALULA_SUM_ROW(variance, (x[i] - mean) * (x[i] - mean))
            float r = 1.0f / alula_sqrtf(variance / size + p->epsilon);
            ALULA_SUM_ROW(h, dy[i] * gamma[i])
            ALULA_SUM_ROW(hu, (dy[i] * gamma[i]) * ((x[i] - mean) * r))
            h = h / size;
            hu = hu / size;
            ALULA_VECTORIZE for (size_t i = 0; i < c; i++) {
                float u = (x[i] - mean) * r, d = dy[i];
                dgamma[i] += d * u;
                dbeta[i] += d;
                out[i] = r * ((d * gamma[i] - h) - u * hu);
            }
        }
    }
}
