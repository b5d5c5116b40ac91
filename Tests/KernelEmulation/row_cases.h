// Random cases of attention and layer norm, each kernel against the scalar definition, bit for bit: every tail, gaps between tokens and heads,
// ranges split as threads do, results in place, biases that are no numbers, and guards behind outputs and scratch.
#pragma once
#include "kernel_cases.h"

static void fill_bytes(uint8_t *x, size_t count) {
    const int kind = within(0, 2);
    for (size_t i = 0; i < count; i++) x[i] = kind == 0 ? (uint8_t)next() : kind == 1 ? (uint8_t)within(100, 110) : within(0, 1) ? 255 : 0;
}

static int differ(const char *name, const uint8_t *expected, const uint8_t *actual, size_t count, const char *what) {
    for (size_t i = 0; i < count; i++) {
        if (expected[i] == actual[i]) continue;
        if (++failures <= 10) printf("FAIL %s, %s: byte %zu of %zu is %d, not %d\n", name, what, i, count, actual[i], expected[i]);
        return 1;
    }
    return 0;
}

static void check_attention(const char *name, alula_kernel kernel) {
    alula_attention_shape s = {.batch = within(1, 3), .heads = within(1, 3), .tokens_q = within(1, 20), .tokens_k = within(1, within(0, 3) ? 40 : 210),
                               .key_dim = within(1, within(0, 3) ? 40 : 150), .value_dim = within(1, within(0, 3) ? 40 : 150),
                               .bias_batch = 1, .bias_heads = 1, .qk_scale = within(0, 9) ? 4e-4f : 1e-6f};
    s.q_head = s.key_dim + within(0, 3);
    s.k_head = s.key_dim + within(0, 3);
    s.v_head = s.value_dim + within(0, 3);
    s.o_head = s.value_dim + within(0, 1);
    s.q_stride = s.q_head * s.heads + within(0, 5);
    s.k_stride = s.k_head * s.heads + within(0, 5);
    s.v_stride = s.v_head * s.heads + within(0, 5);
    s.o_stride = s.o_head * s.heads + within(0, 5);
    float *bias = 0;
    if (within(0, 3)) {
        if (within(0, 1)) s.bias_heads = s.heads;
        if (within(0, 1)) s.bias_batch = within(1, 2);
        const size_t count = (size_t)(s.bias_batch * s.bias_heads * s.tokens_q * s.tokens_k);
        bias = room(count * 4 + 64);
        const int odd = within(0, 7);
        for (size_t i = 0; i < count; i++) {
            bias[i] = small_float() * 4;
            if (odd == 0 && within(0, 3) == 0) bias[i] = -INFINITY;
            if (odd == 1 && within(0, 9) == 0) bias[i] = NAN;
            if (odd == 2) bias[i] = -INFINITY;
            if (odd == 3) bias[i] *= 100;
            if (odd == 4 && within(0, 9) == 0) bias[i] = INFINITY;
        }
        s.bias = bias;
    }
    const size_t queries = (size_t)(s.batch * s.tokens_q), keys = (size_t)(s.batch * s.tokens_k), items = (size_t)(s.batch * s.heads);
    uint8_t *q = room(queries * (size_t)s.q_stride + 64), *k = room(keys * (size_t)s.k_stride + 64), *v = room(keys * (size_t)s.v_stride + 64);
    fill_bytes(q, queries * (size_t)s.q_stride);
    fill_bytes(k, keys * (size_t)s.k_stride);
    fill_bytes(v, keys * (size_t)s.v_stride);
    const size_t outputs = queries * (size_t)s.o_stride + 64;
    uint8_t *expected = room(outputs), *actual = room(outputs);
    memcpy(actual, expected, outputs);
    alula_attention_u8_args a = {.shape = s, .q = q, .k = k, .v = v, .q_zero = within(0, 255), .k_zero = within(0, 255), .v_zero = within(0, 255),
                                 .zero = within(0, 255), .v_multiplier = within(0, 5) ? 1.0f + small_float() * 0.5f : 0x1p40f};
    const size_t bytes = alula_attention_u8_scratch(&a), cut = (size_t)within(0, (int32_t)items);
    uint8_t *scratch = room(bytes + 64), *general = room(bytes);
    memset(scratch + bytes, 0xA5, 64);
    a.output = expected;
    alula_attention_u8_scalar(&a, 0, items, general);
    a.output = actual;
    kernel(&a, 0, cut, scratch);
    kernel(&a, cut, items, scratch);
    char what[160];
    snprintf(what, sizeof what, "%d queries, %d keys of %d, values of %d", s.tokens_q, s.tokens_k, s.key_dim, s.value_dim);
    differ(name, expected, actual, outputs, what);
    for (size_t i = 0; i < 64; i++) if (scratch[bytes + i] != 0xA5 && ++failures <= 10) printf("FAIL %s beyond scratch, %s\n", name, what);
    void *all[] = {bias, q, k, v, expected, actual, scratch, general};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static void check_layernorm(const char *name, alula_kernel kernel) {
    const int32_t rows = within(1, 40), c = within(0, 9) ? within(1, 150) : within(1, 1500);
    const size_t count = (size_t)rows * (size_t)c;
    uint8_t *input = room(count + 64), *expected = room(count + 64), *actual = room(count + 64);
    fill_bytes(input, count);
    // Some rows are of one number: their deviation is 0.
    for (int32_t r = 0; r < rows; r++) if (within(0, 7) == 0) memset(input + r * c, within(0, 255), (size_t)c);
    float *gamma = room((size_t)c * 4 + 64), *beta = room((size_t)c * 4 + 64);
    for (int32_t i = 0; i < c; i++) {
        gamma[i] = small_float() * (within(0, 20) ? 60 : 1e30f);
        beta[i] = small_float() * 60;
    }
    const float scale = (small_float() + 1.1f) * 0.05f;
    const int in_place = within(0, 1);
    memcpy(actual, expected, count + 64);
    if (in_place) memcpy(actual, input, count);
    alula_layernorm_u8_args a = {.input = input, .gamma = gamma, .beta = beta, .output = expected, .rows = rows, .c = c, .zero = within(0, 255),
                                 .variance_scale = scale * scale / (float)c / (float)c, .d_scale = scale / (float)c,
                                 .epsilon = within(0, 1) ? 1e-5f : 0.0f};
    alula_layernorm_u8_scalar(&a, 0, (size_t)rows, 0);
    a.output = actual;
    if (in_place) a.input = actual;
    const size_t cut = (size_t)within(0, rows);
    kernel(&a, 0, cut, 0);
    kernel(&a, cut, (size_t)rows, 0);
    char what[80];
    snprintf(what, sizeof what, "%d rows of %d%s", rows, c, in_place ? " in place" : "");
    differ(name, expected, actual, count + 64, what);
    void *all[] = {input, expected, actual, gamma, beta};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

typedef struct {
    const char *name;
    void (*check)(const char *name, alula_kernel kernel);
    alula_kernel kernel;
} checked_row_kernel;

static void check_rows(const checked_row_kernel *kernels, size_t count, long cases, const char *only) {
    for (size_t k = 0; k < count; k++) {
        if (!strstr(kernels[k].name, only)) continue;
        for (long i = 0; i < cases; i++) kernels[k].check(kernels[k].name, kernels[k].kernel);
    }
}
