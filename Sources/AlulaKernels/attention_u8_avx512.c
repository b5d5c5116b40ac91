// Both products run through vpdpbusd, u8 by s8: queries by keys, weights by values. Keys and values lie in panels as bytes minus 128, four steps
// of the summed axis side by side, [steps / 4][columns][4]. With k' = k - 128, over the dimensions,
//   sum (q - q_zero)(k - k_zero) = sum q k' + (128 - k_zero)(sum q - dimensions * q_zero) - q_zero * sum k',
// where the second term belongs to the query and the third to the key; over the tokens, sum u (v - v_zero) = sum u v' + (128 - v_zero) sum u.
// All of it is exact modulo 2^32, as are the results.
//
// Queries are read where they are; up to eight share each load of a panel.
#pragma STDC FP_CONTRACT OFF
#include "attention.h"
#include "kernels_internal.h"
#if defined(__x86_64__)
#include "avx512.h"

enum { QUERIES = ALULA_ATTENTION_VNNI_QUERIES };

// Where one thread's scratch memory holds what.
typedef struct {
    const alula_attention_u8_args *args;
    alula_attention_vnni_layout layout;
    uint8_t *keys, *values, *weights;
    int32_t *key_terms, *scores, *sums;
} workspace;

// ---- Panels -----------------------------------------------------------------------------------------------------------------------

// Sixteen bytes of each of four tokens from `token` on; the last token stands for those beyond it.
ALULA_AVX512_VNNI ALULA_INLINE __m512i four_tokens(const uint8_t *x, size_t stride, size_t token, size_t tokens) {
    const uint8_t *r[4];
    ALULA_UNROLL for (size_t l = 0; l < 4; l++) r[l] = x + alula_min_size(token + l, tokens - 1) * stride;
    __m512i four = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)r[0]));
    four = _mm512_inserti32x4(four, _mm_loadu_si128((const __m128i *)r[1]), 1);
    four = _mm512_inserti32x4(four, _mm_loadu_si128((const __m128i *)r[2]), 2);
    return _mm512_inserti32x4(four, _mm_loadu_si128((const __m128i *)r[3]), 3);
}

// The last three operands of a transpose of dwords: numbers 0 and 1, or 2 and 3, of each token of a and then of b.
ALULA_AVX512_VNNI ALULA_INLINE __m512i dwords(__m512i a, __m512i b, const int first) {
    const __m512i place = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29);
    return _mm512_permutex2var_epi32(a, _mm512_add_epi32(place, _mm512_set1_epi32(first)), b);
}

// panel[i / 4][j][i % 4] = k[j][i] - 128, 0 beyond the last dimension; terms[j] = -q_zero * (sum over i of that).
ALULA_AVX512_VNNI static void pack_keys(const workspace *w, const uint8_t *k) {
    const alula_attention_shape *s = &w->args->shape;
    const size_t stride = (size_t)s->k_stride, tokens = (size_t)s->tokens_k, depth = (size_t)s->key_dim, keys = w->layout.keys;
    const __m512i flip = _mm512_set1_epi8((char)0x80), ones = _mm512_set1_epi8(1);
    for (size_t j = 0; j < keys; j += 16) {
        __m512i sum = _mm512_setzero_si512();
        for (size_t i = 0; i < depth; i += 16) {
            const size_t count = alula_min_size(16, depth - i);
            const __mmask64 valid = (((uint64_t)1 << count) - 1) * 0x0001000100010001u;
            __m512i x[4];
            ALULA_UNROLL for (size_t l = 0; l < 4; l++) {
                x[l] = _mm512_maskz_add_epi8(valid, four_tokens(k + i, stride, j + 4 * l, tokens), flip);
            }
            const __m512i a = dwords(x[0], x[1], 0), b = dwords(x[2], x[3], 0), c = dwords(x[0], x[1], 2), d = dwords(x[2], x[3], 2);
            const __m512i quads[4] = {_mm512_shuffle_i64x2(a, b, 0x44), _mm512_shuffle_i64x2(a, b, 0xEE), _mm512_shuffle_i64x2(c, d, 0x44),
                                      _mm512_shuffle_i64x2(c, d, 0xEE)};
            uint8_t *out = w->keys + (i * keys + 4 * j);
            for (size_t l = 0; 4 * l < count; l++) {
                _mm512_store_si512(out + 4 * l * keys, quads[l]);
                sum = _mm512_dpbusd_epi32(sum, ones, quads[l]);
            }
        }
        _mm512_store_si512(w->key_terms + j, _mm512_mullo_epi32(sum, _mm512_set1_epi32(-w->args->q_zero)));
    }
}

// panel[j / 4][d][j % 4] = v[j][d] - 128.
ALULA_AVX512_VNNI static void pack_values(const workspace *w, const uint8_t *v) {
    const alula_attention_shape *s = &w->args->shape;
    const size_t stride = (size_t)s->v_stride, tokens = (size_t)s->tokens_k, values = w->layout.values;
    const __m512i flip = _mm512_set1_epi8((char)0x80), step = _mm512_set1_epi32(0x30201000);
    const __m512i column = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i place = _mm512_add_epi32(step, _mm512_mullo_epi32(column, _mm512_set1_epi32(0x01010101)));
    for (size_t j = 0; j < tokens; j += 4) {
        for (size_t d = 0; d < values; d += 16) {
            const __m512i x = _mm512_permutexvar_epi8(place, four_tokens(v + d, stride, j, tokens));
            _mm512_store_si512(w->values + j * values + 4 * d, _mm512_add_epi8(x, flip));
        }
    }
}

// ---- Products ---------------------------------------------------------------------------------------------------------------------

// sums[r][c] = row_terms[r] + column_terms[c] + sum of factors[r] * panel[.][c] for 16 * blocks columns; no column terms where the pointer is NULL.
typedef struct {
    const uint8_t *factors[QUERIES];
    int32_t row_terms[QUERIES];
    const int32_t *column_terms;
    const uint8_t *panel;
    int32_t *sums;
    size_t columns, quads;
} product;

ALULA_AVX512_VNNI ALULA_INLINE void tile(const product *p, size_t column, const int rows, const int blocks) {
    __m512i sum[QUERIES][3];
    ALULA_UNROLL for (int j = 0; j < blocks; j++) {
        const __m512i terms = p->column_terms ? _mm512_load_si512(p->column_terms + column + 16 * j) : _mm512_setzero_si512();
        ALULA_UNROLL for (int r = 0; r < rows; r++) sum[r][j] = _mm512_add_epi32(terms, _mm512_set1_epi32(p->row_terms[r]));
    }
    const uint8_t *panel = p->panel + 4 * column, *factors[QUERIES];
    ALULA_UNROLL for (int r = 0; r < rows; r++) factors[r] = p->factors[r];
    for (size_t quad = 0; quad < p->quads; quad++, panel += 4 * p->columns) {
        __m512i x[3];
        ALULA_UNROLL for (int j = 0; j < blocks; j++) x[j] = _mm512_load_si512(panel + 64 * j);
        ALULA_UNROLL for (int r = 0; r < rows; r++) {
            int32_t four;
            __builtin_memcpy(&four, factors[r] + 4 * quad, 4);
            ALULA_UNROLL for (int j = 0; j < blocks; j++) sum[r][j] = _mm512_dpbusd_epi32(sum[r][j], _mm512_set1_epi32(four), x[j]);
        }
    }
    ALULA_UNROLL for (int r = 0; r < rows; r++) {
        ALULA_UNROLL for (int j = 0; j < blocks; j++) _mm512_store_si512(p->sums + (size_t)r * p->columns + column + 16 * j, sum[r][j]);
    }
}

typedef void (*tile_kernel)(const product *p, size_t column);

#define TILES(ROWS)                                                                                                                        \
    ALULA_AVX512_VNNI static void alula_attend_##ROWS##x16_avx512vnni(const product *p, size_t column) { tile(p, column, ROWS, 1); }                     \
    ALULA_AVX512_VNNI static void alula_attend_##ROWS##x32_avx512vnni(const product *p, size_t column) { tile(p, column, ROWS, 2); }                     \
    ALULA_AVX512_VNNI static void alula_attend_##ROWS##x48_avx512vnni(const product *p, size_t column) { tile(p, column, ROWS, 3); }
TILES(1) TILES(2) TILES(4) TILES(6) TILES(8)
#undef TILES

#define TILES(ROWS) {alula_attend_##ROWS##x16_avx512vnni, alula_attend_##ROWS##x32_avx512vnni, alula_attend_##ROWS##x48_avx512vnni}
static const tile_kernel tiles[5][3] = {TILES(1), TILES(2), TILES(4), TILES(6), TILES(8)};

// Rows beyond `rows` are whatever factors they have; the next larger tile works on them in vain.
ALULA_AVX512_VNNI static void multiply(const product *p, size_t rows) {
    const tile_kernel *kernels = tiles[rows > 6 ? 4 : rows > 4 ? 3 : rows > 2 ? 2 : rows - 1];
    // Blocks of columns are dealt evenly: 64 columns are 32 + 32, not 48 + 16.
    const size_t blocks = p->columns / 16, panels = (blocks + 2) / 3;
    for (size_t i = 0, block = 0; i < panels; i++) {
        const size_t width = blocks / panels + (i < blocks % panels);
        kernels[width - 1](p, 16 * block);
        block += width;
    }
}

// ---- Softmax ----------------------------------------------------------------------------------------------------------------------

// alula_expf for x of -80 and up: 2^n is exact in one step then.
ALULA_AVX512_VNNI ALULA_INLINE __m512 exponential(__m512 x) {
    const __m512 magic = _mm512_set1_ps(12582912.0f);
    const __m512 n = _mm512_sub_ps(_mm512_add_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), magic), magic);
    const __m512 near = _mm512_sub_ps(x, _mm512_mul_ps(n, _mm512_set1_ps(0.693359375f)));
    const __m512 r = _mm512_sub_ps(near, _mm512_mul_ps(n, _mm512_set1_ps(-2.12194440e-4f)));
    __m512 p = _mm512_set1_ps(0.001381446490995586f);
    p = _mm512_add_ps(_mm512_mul_ps(p, r), _mm512_set1_ps(0.008368780836462975f));
    p = _mm512_add_ps(_mm512_mul_ps(p, r), _mm512_set1_ps(0.04166839271783829f));
    p = _mm512_add_ps(_mm512_mul_ps(p, r), _mm512_set1_ps(0.1666651964187622f));
    p = _mm512_add_ps(_mm512_mul_ps(p, r), _mm512_set1_ps(0.4999999403953552f));
    p = _mm512_add_ps(_mm512_add_ps(_mm512_mul_ps(p, _mm512_mul_ps(r, r)), r), _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(p, n);
}

// alula_largest of a row whose columns were merged into one vector. vmaxps gives its second operand where one is NaN.
ALULA_AVX512_VNNI ALULA_INLINE float largest(__m512 x) {
    const __m256 none = _mm256_set1_ps(-__builtin_inff());
    __m256 eight = _mm256_max_ps(_mm512_extractf32x8_ps(x, 1), _mm512_castps512_ps256(x));
    eight = _mm256_mask_max_ps(eight, 0xFE, eight, none);
    __m128 four = _mm_max_ps(_mm256_extractf128_ps(eight, 1), _mm256_castps256_ps128(eight));
    four = _mm_max_ps(_mm_movehl_ps(four, four), four);
    return _mm_cvtss_f32(_mm_max_ss(_mm_movehdup_ps(four), four));
}

// softmax_weights of attention_u8_body.h, to bytes.
ALULA_AVX512_VNNI ALULA_INLINE int32_t softmax(int32_t *sums, const float *bias, float scale, size_t tokens, size_t keys, uint8_t *weights) {
    const __m512 none = _mm512_set1_ps(-__builtin_inff()), factor = _mm512_set1_ps(scale);
    __m512 most = none;
    for (size_t j = 0; j < keys; j += 16) {
        const __mmask16 lanes = tokens - j >= 16 ? 0xFFFF : (__mmask16)((1u << (tokens - j)) - 1);
        __m512 t = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_load_si512(sums + j)), factor);
        if (bias) t = _mm512_add_ps(t, _mm512_maskz_loadu_ps(lanes, bias + j));
        t = _mm512_mask_mov_ps(none, lanes, t);
        _mm512_store_ps((float *)sums + j, t);
        // A NaN among the first eight stays where it is, as in alula_largest.
        most = j == 0 ? _mm512_mask_max_ps(t, 0xFF00, t, none) : _mm512_max_ps(t, most);
    }
    const __m512 m = _mm512_set1_ps(largest(most));
    __m512i sum = _mm512_setzero_si512();
    for (size_t j = 0; j < keys; j += 16) {
        __m512 t = _mm512_sub_ps(_mm512_load_ps((const float *)sums + j), m);
        t = _mm512_min_ps(_mm512_set1_ps(89.0f), _mm512_max_ps(_mm512_set1_ps(-80.0f), t));
        t = _mm512_max_ps(_mm512_mul_ps(exponential(t), _mm512_set1_ps(255.0f)), _mm512_setzero_ps());
        const __m512i u = _mm512_cvtps_epi32(_mm512_min_ps(t, _mm512_set1_ps(255.0f)));
        _mm_store_si128((__m128i *)(weights + j), _mm512_cvtepi32_epi8(u));
        sum = _mm512_add_epi32(sum, u);
    }
    return _mm512_reduce_add_epi32(sum);
}

// ---- One item ---------------------------------------------------------------------------------------------------------------------

ALULA_AVX512_VNNI ALULA_INLINE int32_t sum_of_bytes(const uint8_t *x, size_t count) {
    __m512i sum = _mm512_setzero_si512();
    for (size_t i = 0; i < count; i += 64) {
        const __mmask64 valid = count - i >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << (count - i)) - 1;
        sum = _mm512_add_epi64(sum, _mm512_sad_epu8(_mm512_maskz_loadu_epi8(valid, x + i), _mm512_setzero_si512()));
    }
    return (int32_t)_mm512_reduce_add_epi64(sum);
}

ALULA_AVX512_VNNI ALULA_INLINE void write_row(const int32_t *sums, size_t n, float multiplier, int32_t zero, uint8_t *out) {
    for (size_t d = 0; d < n; d += 16) {
        const __mmask16 lanes = n - d >= 16 ? 0xFFFF : (__mmask16)((1u << (n - d)) - 1);
        const __m512 t = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_load_si512(sums + d)), _mm512_set1_ps(multiplier));
        // The minimum lets NaN through, which becomes INT_MIN, hence 0.
        const __m512i q = _mm512_add_epi32(_mm512_cvtps_epi32(_mm512_min_ps(_mm512_set1_ps(0x1p30f), t)), _mm512_set1_epi32(zero));
        _mm_mask_storeu_epi8(out + d, lanes, _mm512_cvtusepi32_epi8(_mm512_max_epi32(q, _mm512_setzero_si512())));
    }
}

// `rows` queries from `first`.
ALULA_AVX512_VNNI static void attend(const workspace *w, size_t item, size_t first, size_t rows) {
    const alula_attention_u8_args *a = w->args;
    const alula_attention_shape *s = &a->shape;
    const alula_attention_vnni_layout *l = &w->layout;
    const size_t tokens = (size_t)s->tokens_k, depth = (size_t)s->key_dim;
    const uint8_t *q = a->q + alula_attention_start(s, item, s->tokens_q, s->q_stride, s->q_head) + first * (size_t)s->q_stride;
    uint8_t *out = a->output + alula_attention_start(s, item, s->tokens_q, s->o_stride, s->o_head) + first * (size_t)s->o_stride;
    const float *bias = alula_attention_bias(s, item);

    product p = {.column_terms = w->key_terms, .panel = w->keys, .sums = w->scores, .columns = l->keys, .quads = (depth + 3) / 4};
    for (size_t r = 0; r < QUERIES; r++) p.factors[r] = q + alula_min_size(r, rows - 1) * (size_t)s->q_stride;
    for (size_t r = 0; r < rows; r++) {
        p.row_terms[r] = (128 - a->k_zero) * (sum_of_bytes(p.factors[r], depth) - (int32_t)depth * a->q_zero);
    }
    multiply(&p, rows);

    int32_t total[QUERIES];
    for (size_t r = 0; r < rows; r++) {
        total[r] = softmax(w->scores + r * l->keys, bias ? bias + (first + r) * tokens : 0, s->qk_scale, tokens, l->keys,
                           w->weights + r * l->keys);
    }

    product o = {.panel = w->values, .sums = w->sums, .columns = l->values, .quads = (tokens + 3) / 4};
    for (size_t r = 0; r < QUERIES; r++) o.factors[r] = w->weights + alula_min_size(r, rows - 1) * l->keys;
    for (size_t r = 0; r < rows; r++) o.row_terms[r] = (128 - a->v_zero) * total[r];
    multiply(&o, rows);
    for (size_t r = 0; r < rows; r++) {
        write_row(w->sums + r * l->values, (size_t)s->value_dim, a->v_multiplier / (float)total[r], a->zero, out + r * (size_t)s->o_stride);
    }
}

ALULA_AVX512_VNNI void alula_attention_u8_avx512vnni(const void *args, size_t begin, size_t end, void *scratch) {
    const alula_attention_u8_args *a = args;
    const alula_attention_shape *s = &a->shape;
    workspace w = {.args = a, .layout = alula_attention_vnni_layout_of(s)};
    uint8_t *memory = scratch;
    w.keys = memory + w.layout.key_panel;
    w.values = memory + w.layout.value_panel;
    w.weights = memory + w.layout.weights;
    w.key_terms = (int32_t *)(memory + w.layout.key_terms);
    w.scores = (int32_t *)(memory + w.layout.scores);
    w.sums = (int32_t *)(memory + w.layout.sums);
    // Queries are dealt evenly too: 10 are 5 + 5.
    const size_t queries = (size_t)s->tokens_q, groups = (queries + QUERIES - 1) / QUERIES;
    for (size_t item = begin; item < end; item++) {
        pack_keys(&w, a->k + alula_attention_start(s, item, s->tokens_k, s->k_stride, s->k_head));
        pack_values(&w, a->v + alula_attention_start(s, item, s->tokens_k, s->v_stride, s->v_head));
        for (size_t i = 0, first = 0; i < groups; i++) {
            const size_t rows = queries / groups + (i < queries % groups);
            attend(&w, item, first, rows);
            first += rows;
        }
    }
}
#endif
