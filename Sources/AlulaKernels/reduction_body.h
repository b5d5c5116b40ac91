// Families reduce_f32, top_k_f32, resample_f32, resample_u8. Included once by the file of each instruction set.
#include "kernels_internal.h"
#include "requantize.h"
#include "strides.h"

// ---- Reduction ------------------------------------------------------------------------------------------------------------------------

enum { REDUCE_OUTPUTS = 64, REDUCE_LANES = 16, PARTIAL_RESULTS = 8 };

ALULA_INLINE float start_value(int32_t function) {
    switch ((alula_reduction)function) {
    case ALULA_REDUCE_SUM: return 0.0f;
    case ALULA_REDUCE_PRODUCT: return 1.0f;
    case ALULA_REDUCE_MAX: return -__builtin_inff();
    case ALULA_REDUCE_MIN: return __builtin_inff();
    }
    return 0.0f;
}

ALULA_INLINE float combine(int32_t function, float a, float b) {
    switch ((alula_reduction)function) {
    case ALULA_REDUCE_SUM: return a + b;
    case ALULA_REDUCE_PRODUCT: return a * b;
    case ALULA_REDUCE_MAX: return ((a > b) | (a != a)) ? a : b;
    case ALULA_REDUCE_MIN: return ((a < b) | (a != a)) ? a : b;
    }
    return a;
}

// Up to 16 neighbouring outputs; reads that many elements even of the last ones.
ALULA_INLINE void reduce_columns(const alula_reduce_f32_args *p, int32_t function, const float *in, float *out, size_t n) {
    int32_t last = p->reduced_rank - 1;
    size_t rows = alula_product_of(last, p->reduced), size = (size_t)p->reduced[last];
    float result[REDUCE_LANES];
    for (size_t l = 0; l < REDUCE_LANES; l++) result[l] = start_value(function);
    for (size_t row = 0; row < rows; row++) {
        const float *x = in + alula_offset_of(row, last, p->reduced, p->reduced_strides);
        for (size_t i = 0; i < size; i++, x += p->reduced_strides[last]) {
            for (size_t l = 0; l < REDUCE_LANES; l++) result[l] = combine(function, result[l], x[l]);
        }
    }
    for (size_t l = 0; l < n; l++) out[l] = result[l] * p->scale;
}

// One output, the last reduced axis being contiguous.
ALULA_INLINE float reduce_rows(const alula_reduce_f32_args *p, int32_t function, const float *in) {
    int32_t last = p->reduced_rank - 1;
    size_t rows = alula_product_of(last, p->reduced), size = (size_t)p->reduced[last], whole = size / PARTIAL_RESULTS * PARTIAL_RESULTS;
    float r[PARTIAL_RESULTS];
    for (size_t l = 0; l < PARTIAL_RESULTS; l++) r[l] = start_value(function);
    for (size_t row = 0; row < rows; row++) {
        const float *x = in + alula_offset_of(row, last, p->reduced, p->reduced_strides);
        for (size_t i = 0; i < whole; i += PARTIAL_RESULTS) {
            for (size_t l = 0; l < PARTIAL_RESULTS; l++) r[l] = combine(function, r[l], x[i + l]);
        }
        for (size_t l = 0; l < size - whole; l++) r[l] = combine(function, r[l], x[whole + l]);
    }
    float front = combine(function, combine(function, r[0], r[1]), combine(function, r[2], r[3]));
    float back = combine(function, combine(function, r[4], r[5]), combine(function, r[6], r[7]));
    return combine(function, front, back) * p->scale;
}

ALULA_INLINE void reduce_blocks(const alula_reduce_f32_args *p, int32_t function, size_t begin, size_t end) {
    int32_t last = p->kept_rank - 1;
    size_t size = (size_t)p->kept[last], blocks = (size + REDUCE_OUTPUTS - 1) / REDUCE_OUTPUTS;
    int64_t stride = p->kept_strides[last];
    for (size_t item = begin; item < end; item++) {
        size_t row = item / blocks, first = item % blocks * REDUCE_OUTPUTS, count = alula_min_size(REDUCE_OUTPUTS, size - first);
        const float *in = p->input + alula_offset_of(row, last, p->kept, p->kept_strides) + (int64_t)first * stride;
        float *out = p->output + row * size + first;
        if (stride == 1) {
            for (size_t i = 0; i < count; i += REDUCE_LANES) reduce_columns(p, function, in + i, out + i, alula_min_size(REDUCE_LANES, count - i));
        } else {
            for (size_t i = 0; i < count; i++) out[i] = reduce_rows(p, function, in + (int64_t)i * stride);
        }
    }
}

void ALULA_SYMBOL(reduce_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_reduce_f32_args *p = args;
    // The function is a constant in each call, so that its loops vectorise.
    switch ((alula_reduction)p->function) {
    case ALULA_REDUCE_SUM: reduce_blocks(p, ALULA_REDUCE_SUM, begin, end); break;
    case ALULA_REDUCE_PRODUCT: reduce_blocks(p, ALULA_REDUCE_PRODUCT, begin, end); break;
    case ALULA_REDUCE_MAX: reduce_blocks(p, ALULA_REDUCE_MAX, begin, end); break;
    case ALULA_REDUCE_MIN: reduce_blocks(p, ALULA_REDUCE_MIN, begin, end); break;
    }
}

// ---- Largest and smallest ---------------------------------------------------------------------------------------------------------------

// Whether candidate x, which comes later, goes before the chosen y.
ALULA_INLINE bool goes_before(const alula_top_k_f32_args *p, float x, float y) {
    if (x != x) return p->prefers_last && y != y;
    if (y != y) return true;
    if (x == y) return p->prefers_last;
    return p->smallest ? x < y : x > y;
}

// Insertion into the indices chosen so far, which are in order: n comparisons where few of the elements are chosen.
static void choose(const alula_top_k_f32_args *p, const float *in, size_t at) {
    size_t inner = (size_t)p->inner, n = (size_t)p->n, count = (size_t)p->count, chosen = 0;
    int32_t *indices = p->indices + at;
    for (size_t j = 0; j < n; j++) {
        float x = in[j * inner];
        if (chosen == count && !goes_before(p, x, in[(size_t)indices[(count - 1) * inner] * inner])) continue;
        size_t place = chosen < count ? chosen++ : count - 1;
        for (; place > 0 && goes_before(p, x, in[(size_t)indices[(place - 1) * inner] * inner]); place--) {
            indices[place * inner] = indices[(place - 1) * inner];
        }
        indices[place * inner] = (int32_t)j;
    }
    if (!p->values) return;
    for (size_t k = 0; k < count; k++) p->values[at + k * inner] = in[(size_t)indices[k * inner] * inner];
}

void ALULA_SYMBOL(top_k_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_top_k_f32_args *p = args;
    size_t inner = (size_t)p->inner;
    for (size_t o = begin; o < end; o++) {
        for (size_t i = 0; i < inner; i++) choose(p, p->input + o * (size_t)p->n * inner + i, o * (size_t)p->count * inner + i);
    }
}

// ---- Weighted sums along an axis ----------------------------------------------------------------------------------------------------------

void ALULA_SYMBOL(resample_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_resample_f32_args *p = args;
    size_t n = (size_t)p->n, inner = (size_t)p->inner, count = (size_t)p->count, taps = (size_t)p->taps;
    for (size_t item = begin; item < end; item++) {
        size_t o = item / count, j = item % count;
        const int32_t *index = p->index + j * taps;
        const float *weights = p->weights + j * taps, *in = p->input + o * n * inner;
        float *out = p->output + item * inner;
        for (size_t i = 0; i < inner; i += 16) {
            float sum[16] = {0};
            size_t lanes = alula_min_size(16, inner - i);
            for (size_t t = 0; t < taps; t++) {
                const float *x = in + (size_t)index[t] * inner + i;
                float w = weights[t];
                if (lanes == 16) for (size_t l = 0; l < 16; l++) sum[l] += w * x[l];
                else for (size_t l = 0; l < lanes; l++) sum[l] += w * x[l];
            }
            for (size_t l = 0; l < lanes; l++) out[i + l] = sum[l];
        }
    }
}

void ALULA_SYMBOL(resample_u8)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_resample_u8_args *p = args;
    size_t n = (size_t)p->n, inner = (size_t)p->inner, count = (size_t)p->count, taps = (size_t)p->taps;
    for (size_t item = begin; item < end; item++) {
        size_t o = item / count, j = item % count;
        const int32_t *index = p->index + j * taps;
        const float *weights = p->weights + j * taps;
        const uint8_t *in = p->input + o * n * inner;
        uint8_t *out = p->output + item * inner;
        for (size_t i = 0; i < inner; i += 16) {
            float sum[16] = {0};
            size_t lanes = alula_min_size(16, inner - i);
            for (size_t t = 0; t < taps; t++) {
                const uint8_t *x = in + (size_t)index[t] * inner + i;
                float w = weights[t];
                if (lanes == 16) for (size_t l = 0; l < 16; l++) sum[l] += w * (float)((int32_t)x[l] - p->zero_in);
                else for (size_t l = 0; l < lanes; l++) sum[l] += w * (float)((int32_t)x[l] - p->zero_in);
            }
            for (size_t l = 0; l < lanes; l++) out[i + l] = alula_requantize(sum[l] * p->multiplier, p->zero, 0, 255);
        }
    }
}
