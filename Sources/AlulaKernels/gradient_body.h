// Gradients of elementwise functions and normalizations, and sums by channel. Included once by the file of each instruction set.
#include "derivatives.h"
#include "kernels_internal.h"
#include "row_vectors.h"

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

// A block of columns stays in registers for this many rows: memory is read as so many streams side by side, and with more of them it slows down.
enum { ROWS_OF_SUM = 4 };

void ALULA_SYMBOL(channel_sum_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_channel_sum_f32_args *p = args;
    size_t c = (size_t)p->c;
    for (size_t chunk = begin; chunk < end; chunk++) {
        row_range r = chunk_rows(chunk, p->rows);
        float *out = p->partial + chunk * c;
        for (size_t i = 0; i < c; i++) out[i] = 0.0f;
        for (size_t row = r.begin; row < r.end; row += ROWS_OF_SUM) {
            const size_t n = alula_min_size(ROWS_OF_SUM, r.end - row);
            const float *a = p->a + row * c;
            if (p->b) {
                const float *b = p->b + row * c;
                ALULA_COLUMNS(c, {
                    V sum = ALULA_IN(out);
                    ALULA_EACH_ROW for (size_t l = 0; l < n; l++) sum += ALULA_IN(a + l * c) * ALULA_IN(b + l * c);
                    ALULA_AT(out) = sum;
                })
            } else {
                ALULA_COLUMNS(c, {
                    V sum = ALULA_IN(out);
                    ALULA_EACH_ROW for (size_t l = 0; l < n; l++) sum += ALULA_IN(a + l * c);
                    ALULA_AT(out) = sum;
                })
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
        for (size_t row = r.begin; row < r.end; row += ROWS_OF_SUM) {
            const size_t n = alula_min_size(ROWS_OF_SUM, r.end - row);
            const float *x = p->x + row * c;
            ALULA_COLUMNS(c, {
                V sum = ALULA_IN(mean);
                ALULA_EACH_ROW for (size_t l = 0; l < n; l++) sum += ALULA_IN(x + l * c);
                ALULA_AT(mean) = sum;
            })
        }
        for (size_t i = 0; i < c; i++) mean[i] = mean[i] / count;
        for (size_t row = r.begin; row < r.end; row += ROWS_OF_SUM) {
            const size_t n = alula_min_size(ROWS_OF_SUM, r.end - row);
            const float *x = p->x + row * c;
            ALULA_COLUMNS(c, {
                V sum = ALULA_IN(squares);
                const V center = ALULA_IN(mean);
                ALULA_EACH_ROW for (size_t l = 0; l < n; l++) {
                    const V d = ALULA_IN(x + l * c) - center;
                    sum += d * d;
                }
                ALULA_AT(squares) = sum;
            })
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

// Rows of g = dy * f'(x * scale + shift), f the activation. A few numbers at a time, so that what goes into it stays in the first-level cache, but
// several rows where they are short, so that vectors need not end with each. rows is 1 where c is above PIECE.
enum { PIECE = 512 };

static void activation_gradient(const alula_batch_norm_sums_f32_args *p, size_t row, size_t rows) {
    const size_t c = (size_t)p->c;
    float inner[PIECE];
    for (size_t first = 0; first < c; first += PIECE) {
        const size_t n = alula_min_size(PIECE, c - first), at = row * c + first;
        const float *scale = p->scale + first, *shift = p->shift + first;
        for (size_t l = 0; l < rows; l++) {
            const float *x = p->x + at + l * c;
            float *to = inner + l * c;
            ALULA_COLUMNS(n, { ALULA_AT(to) = ALULA_IN(x) * ALULA_IN(scale) + ALULA_IN(shift); })
        }
        multiply_slope(p->activation, 0, p->dy + at, inner, p->g + at, rows * n);
    }
}

void ALULA_SYMBOL(batch_norm_sums_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_batch_norm_sums_f32_args *p = args;
    const size_t c = (size_t)p->c, block = c < PIECE ? PIECE / c : 1;
    const float *mean = p->mean;
    for (size_t chunk = begin; chunk < end; chunk++) {
        row_range r = chunk_rows(chunk, p->rows);
        float *sum = p->partial + 2 * chunk * c, *product = sum + c;
        for (size_t i = 0; i < c; i++) sum[i] = 0.0f, product[i] = 0.0f;
        for (size_t row = r.begin; row < r.end; row += block) {
            const size_t n = alula_min_size(block, r.end - row);
            if (p->activation != ALULA_NONE) activation_gradient(p, row, n);
            const float *x = p->x + row * c, *g = (p->activation != ALULA_NONE ? p->g : p->dy) + row * c;
            ALULA_COLUMNS(c, {
                const V center = ALULA_IN(mean);
                V s = ALULA_IN(sum), t = ALULA_IN(product);
                ALULA_EACH_ROW for (size_t l = 0; l < n; l++) {
                    const V d = ALULA_IN(g + l * c);
                    s += d;
                    t += d * (ALULA_IN(x + l * c) - center);
                }
                ALULA_AT(sum) = s;
                ALULA_AT(product) = t;
            })
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

// With u = normalized x and h = dy gamma: dx = r (h - mean(h) - u mean(h u)). Steps for a block of rows each, as in layernorm_f32.
typedef struct {
    float mean[ALULA_ROWS_AT_ONCE], r[ALULA_ROWS_AT_ONCE];
    float h[ALULA_ROWS_AT_ONCE], hu[ALULA_ROWS_AT_ONCE];     // means of h and of h u
} layernorm_rows;

ALULA_INLINE void gradient_sums(const float *x, const float *dy, const float *gamma, size_t c, layernorm_rows *k, size_t at, const size_t rows) {
    alula_eight s[4] = {{0}}, h[4] = {{0}};
    ALULA_EIGHTS(c, {
        const alula_eight scale = alula_first_floats(gamma + i, n);
        ALULA_UNROLL_ROWS for (size_t l = 0; l < rows; l++) {
            s[l] += alula_first_floats(x + l * c + i, n);
            h[l] += alula_first_floats(dy + l * c + i, n) * scale;
        }
    })
    alula_store_sums(s, k->mean + at, rows);
    alula_store_sums(h, k->h + at, rows);
}

ALULA_INLINE void gradient_squares(const float *x, const float *dy, const float *gamma, size_t c, layernorm_rows *k, size_t at,
                                   const size_t rows) {
    alula_eight s[4] = {{0}}, h[4] = {{0}};
    const float *mean = k->mean + at;
    ALULA_EIGHTS(c, {
        const alula_eight scale = alula_first_floats(gamma + i, n);
        ALULA_UNROLL_ROWS for (size_t l = 0; l < rows; l++) {
            const alula_eight d = alula_only_first(alula_first_floats(x + l * c + i, n) - mean[l], n);
            s[l] += d * d;
            h[l] += (alula_first_floats(dy + l * c + i, n) * scale) * d;
        }
    })
    alula_store_sums(s, k->r + at, rows);
    alula_store_sums(h, k->hu + at, rows);
}

// The sums by channel take the rows in order.
ALULA_INLINE void gradient_rows(const alula_layernorm_gradient_f32_args *p, size_t row, float *dgamma, const layernorm_rows *k, size_t at,
                                const size_t rows) {
    const size_t c = (size_t)p->c;
    const float *x = p->x + row * c, *dy = p->dy + row * c, *gamma = p->gamma;
    float *out = p->output + row * c, *dbeta = dgamma + c;
    ALULA_COLUMNS(c, {
        const V scale = ALULA_IN(gamma);
        V du = ALULA_IN(dgamma), sum = ALULA_IN(dbeta);
        ALULA_UNROLL_ROWS for (size_t l = 0; l < rows; l++) {
            const V u = (ALULA_IN(x + l * c) - k->mean[at + l]) * k->r[at + l], d = ALULA_IN(dy + l * c);
            du += d * u;
            sum += d;
            ALULA_AT(out + l * c) = ((d * scale - k->h[at + l]) - u * k->hu[at + l]) * k->r[at + l];
        }
        ALULA_AT(dgamma) = du;
        ALULA_AT(dbeta) = sum;
    })
}

ALULA_STEP sums_of_four(const float *x, const float *dy, const float *gamma, size_t c, layernorm_rows *k, size_t at) {
    gradient_sums(x, dy, gamma, c, k, at, 4);
}
ALULA_STEP sums_of_one(const float *x, const float *dy, const float *gamma, size_t c, layernorm_rows *k, size_t at) {
    gradient_sums(x, dy, gamma, c, k, at, 1);
}
ALULA_STEP squares_of_four(const float *x, const float *dy, const float *gamma, size_t c, layernorm_rows *k, size_t at) {
    gradient_squares(x, dy, gamma, c, k, at, 4);
}
ALULA_STEP squares_of_one(const float *x, const float *dy, const float *gamma, size_t c, layernorm_rows *k, size_t at) {
    gradient_squares(x, dy, gamma, c, k, at, 1);
}
ALULA_STEP gradients_of_four(const alula_layernorm_gradient_f32_args *p, size_t row, float *dgamma, const layernorm_rows *k, size_t at) {
    gradient_rows(p, row, dgamma, k, at, 4);
}
ALULA_STEP gradients_of_one(const alula_layernorm_gradient_f32_args *p, size_t row, float *dgamma, const layernorm_rows *k, size_t at) {
    gradient_rows(p, row, dgamma, k, at, 1);
}

void ALULA_SYMBOL(layernorm_gradient_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_layernorm_gradient_f32_args *p = args;
    const size_t c = (size_t)p->c, block = alula_rows_at_once(2 * c);
    const float size = (float)p->c, epsilon = p->epsilon, *gamma = p->gamma;
    layernorm_rows k = {{0}, {0}, {0}, {0}};
    for (size_t chunk = begin; chunk < end; chunk++) {
        const row_range range = chunk_rows(chunk, p->rows);
        float *dgamma = p->partial + 2 * chunk * c;
        for (size_t i = 0; i < 2 * c; i++) dgamma[i] = 0.0f;
        for (size_t row = range.begin; row < range.end; row += block) {
            const size_t n = alula_min_size(block, range.end - row), fours = n / 4 * 4;
            const float *x = p->x + row * c, *dy = p->dy + row * c;
            for (size_t l = 0; l < fours; l += 4) sums_of_four(x + l * c, dy + l * c, gamma, c, &k, l);
            for (size_t l = fours; l < n; l++) sums_of_one(x + l * c, dy + l * c, gamma, c, &k, l);
            for (size_t l = 0; l < ALULA_ROWS_AT_ONCE; l++) k.mean[l] = k.mean[l] / size, k.h[l] = k.h[l] / size;
            for (size_t l = 0; l < fours; l += 4) squares_of_four(x + l * c, dy + l * c, gamma, c, &k, l);
            for (size_t l = fours; l < n; l++) squares_of_one(x + l * c, dy + l * c, gamma, c, &k, l);
            for (size_t l = 0; l < ALULA_ROWS_AT_ONCE; l++) {
                k.r[l] = 1.0f / alula_sqrtf(k.r[l] / size + epsilon);
                k.hu[l] = (k.hu[l] * k.r[l]) / size;
            }
            for (size_t l = 0; l < fours; l += 4) gradients_of_four(p, row + l, dgamma, &k, l);
            for (size_t l = fours; l < n; l++) gradients_of_one(p, row + l, dgamma, &k, l);
        }
    }
}
