// Both products run through vpmaddwd on bytes widened to 16 bits: panels hold two steps of the summed axis side by side, [steps / 2][columns][2],
// so that one instruction takes both for eight columns. Four queries share each panel load.
#pragma STDC FP_CONTRACT OFF
#include "instruction_set.h"

#if defined(__x86_64__)
#define ALULA_OWN_ATTENTION_U8
#include "requantize_avx2.h"
ALULA_BEGIN_AVX2
#include "attention_u8_body.h"

enum { QUERIES = ALULA_ATTENTION_QUERIES };

ALULA_INLINE __m256i load(const void *x) { return _mm256_loadu_si256((const __m256i *)x); }
ALULA_INLINE __m128i load_bytes(const void *x) { return _mm_loadu_si128((const __m128i *)x); }

// Widens sixteen bytes and subtracts their zero point.
ALULA_INLINE void store_centered(int16_t *out, __m128i bytes, __m256i zero) {
    _mm256_storeu_si256((__m256i *)out, _mm256_sub_epi16(_mm256_cvtepu8_epi16(bytes), zero));
}

// panel[i / 2][j][i % 2] = k[j][i] - zero for 8 keys from j and 16 dimensions from i: an 8 x 8 transpose of pairs of bytes. What lies beyond
// the last dimension meets zeros of the query; keys beyond the last one repeat it and get weight 0.
ALULA_INLINE void pack_keys(const uint8_t *k, size_t stride, size_t j, size_t tokens, size_t i, size_t keys, __m256i zero, int16_t *panel) {
    __m128i r[8], s[8];
    for (size_t l = 0; l < 8; l++) r[l] = load_bytes(k + alula_min_size(j + l, tokens - 1) * stride + i);
    for (size_t l = 0; l < 4; l++) {
        s[2 * l] = _mm_unpacklo_epi16(r[2 * l], r[2 * l + 1]);
        s[2 * l + 1] = _mm_unpackhi_epi16(r[2 * l], r[2 * l + 1]);
    }
    for (size_t l = 0; l < 2; l++) {
        for (size_t half = 0; half < 2; half++) {
            r[4 * l + 2 * half] = _mm_unpacklo_epi32(s[4 * l + half], s[4 * l + 2 + half]);
            r[4 * l + 2 * half + 1] = _mm_unpackhi_epi32(s[4 * l + half], s[4 * l + 2 + half]);
        }
    }
    for (size_t l = 0; l < 4; l++) {
        int16_t *out = panel + ((i / 2 + 2 * l) * keys + j) * 2;
        store_centered(out, _mm_unpacklo_epi64(r[l], r[l + 4]), zero);
        store_centered(out + 2 * keys, _mm_unpackhi_epi64(r[l], r[l + 4]), zero);
    }
}

// panel[j / 2][d][j % 2] = v[j][d] - zero; an odd last token is paired with itself at weight 0.
static void pack_values(const uint8_t *v, size_t stride, size_t tokens, size_t values, __m256i zero, int16_t *panel) {
    for (size_t j = 0; j < tokens; j += 2) {
        const uint8_t *a = v + j * stride, *b = v + alula_min_size(j + 1, tokens - 1) * stride;
        int16_t *out = panel + j * values;
        for (size_t d = 0; d < values; d += 16) {
            __m128i x = load_bytes(a + d), y = load_bytes(b + d);
            store_centered(out + 2 * d, _mm_unpacklo_epi8(x, y), zero);
            store_centered(out + 2 * d + 16, _mm_unpackhi_epi8(x, y), zero);
        }
    }
}

// sums[r][column] of `rows` factor rows for 16 columns.
ALULA_INLINE void multiply(const int16_t *factors, size_t factor_stride, size_t rows, const int16_t *panel, size_t columns, size_t pairs,
                           int32_t *sums) {
    __m256i low[QUERIES], high[QUERIES];
    for (size_t r = 0; r < rows; r++) low[r] = high[r] = _mm256_setzero_si256();
    for (size_t k = 0; k < pairs; k++) {
        __m256i a = load(panel + k * columns * 2), b = load(panel + k * columns * 2 + 16);
        for (size_t r = 0; r < rows; r++) {
            int32_t pair;
            __builtin_memcpy(&pair, factors + r * factor_stride + 2 * k, sizeof pair);
            __m256i x = _mm256_set1_epi32(pair);
            low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(x, a));
            high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(x, b));
        }
    }
    for (size_t r = 0; r < rows; r++) {
        _mm256_storeu_si256((__m256i *)(sums + r * columns), low[r]);
        _mm256_storeu_si256((__m256i *)(sums + r * columns + 8), high[r]);
    }
}

static void multiply_rows(const int16_t *factors, size_t factor_stride, size_t rows, const int16_t *panel, size_t columns, size_t pairs,
                          int32_t *sums) {
    for (size_t c = 0; c < columns; c += 16) {
        if (rows == QUERIES) {
            multiply(factors, factor_stride, QUERIES, panel + 2 * c, columns, pairs, sums + c);
        } else {
            for (size_t r = 0; r < rows; r++) {
                multiply(factors + r * factor_stride, 0, 1, panel + 2 * c, columns, pairs, sums + r * columns + c);
            }
        }
    }
}

static void write_row(const int32_t *sums, size_t n, float multiplier, int32_t zero, uint8_t *out) {
    __m256 factor = _mm256_set1_ps(multiplier);
    __m256i offset = _mm256_set1_epi16((int16_t)zero);
    for (size_t d = 0; d < n; d += 16) {
        __m256 t0 = _mm256_mul_ps(_mm256_cvtepi32_ps(load(sums + d)), factor);
        __m256 t1 = _mm256_mul_ps(_mm256_cvtepi32_ps(load(sums + d + 8)), factor);
        alula_store_bytes(out + d, alula_requantize_16(t0, t1, offset), n - d);
    }
}

// Where one thread's scratch memory holds what.
typedef struct {
    alula_attention_layout layout;
    int16_t *keys, *values, *query, *weights;
    int32_t *scores, *sums;
} workspace;

static void pack_item(const alula_attention_u8_args *p, const workspace *w, size_t item) {
    const alula_attention_shape *s = &p->shape;
    const uint8_t *k = p->k + alula_attention_start(s, item, s->tokens_k, s->k_stride, s->k_head);
    const uint8_t *v = p->v + alula_attention_start(s, item, s->tokens_k, s->v_stride, s->v_head);
    size_t tokens = (size_t)s->tokens_k;
    __m256i k_zero = _mm256_set1_epi16((int16_t)p->k_zero);
    for (size_t j = 0; j < w->layout.keys; j += 8) {
        for (size_t i = 0; i < w->layout.depth; i += 16) pack_keys(k, (size_t)s->k_stride, j, tokens, i, w->layout.keys, k_zero, w->keys);
    }
    pack_values(v, (size_t)s->v_stride, tokens, w->layout.values, _mm256_set1_epi16((int16_t)p->v_zero), w->values);
}

// `rows` queries from `first`.
static void attend(const alula_attention_u8_args *p, const workspace *w, size_t item, size_t first, size_t rows) {
    const alula_attention_shape *s = &p->shape;
    const alula_attention_layout *l = &w->layout;
    size_t tokens = (size_t)s->tokens_k, depth = (size_t)s->key_dim;
    const uint8_t *q = p->q + alula_attention_start(s, item, s->tokens_q, s->q_stride, s->q_head) + first * (size_t)s->q_stride;
    uint8_t *out = p->output + alula_attention_start(s, item, s->tokens_q, s->o_stride, s->o_head) + first * (size_t)s->o_stride;
    const float *bias = alula_attention_bias(s, item);
    for (size_t r = 0; r < rows; r++) {
        int16_t *query = w->query + r * l->depth;
        for (size_t i = 0; i < depth; i++) query[i] = (int16_t)(q[r * (size_t)s->q_stride + i] - p->q_zero);
        for (size_t i = depth; i < l->depth; i++) query[i] = 0;
    }
    multiply_rows(w->query, l->depth, rows, w->keys, l->keys, (depth + 1) / 2, w->scores);
    int32_t sum[QUERIES];
    for (size_t r = 0; r < rows; r++) {
        int32_t *scores = w->scores + r * l->keys;
        const float *row_bias = bias ? bias + (first + r) * tokens : 0;
        sum[r] = softmax_weights(scores, (float *)scores, row_bias, s->qk_scale, tokens, l->keys, w->weights + r * l->keys);
    }
    multiply_rows(w->weights, l->keys, rows, w->values, l->values, (tokens + 1) / 2, w->sums);
    for (size_t r = 0; r < rows; r++) {
        write_row(w->sums + r * l->values, (size_t)s->value_dim, p->v_multiplier / (float)sum[r], p->zero, out + r * (size_t)s->o_stride);
    }
}

void alula_attention_u8_avx2(const void *args, size_t begin, size_t end, void *scratch) {
    const alula_attention_u8_args *p = args;
    workspace w = {.layout = alula_attention_u8_layout(&p->shape)};
    uint8_t *memory = scratch;
    w.keys = (int16_t *)(memory + w.layout.key_panel);
    w.values = (int16_t *)(memory + w.layout.value_panel);
    w.query = (int16_t *)(memory + w.layout.query);
    w.weights = (int16_t *)(memory + w.layout.weights);
    w.scores = (int32_t *)(memory + w.layout.scores);
    w.sums = (int32_t *)(memory + w.layout.sums);
    size_t queries = (size_t)p->shape.tokens_q;
    for (size_t item = begin; item < end; item++) {
        pack_item(p, &w, item);
        for (size_t first = 0; first < queries; first += QUERIES) attend(p, &w, item, first, alula_min_size(QUERIES, queries - first));
    }
}
ALULA_END_AVX2
#endif
