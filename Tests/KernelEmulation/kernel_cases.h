// What the programs of this folder share: random cases of the convolutions, each kernel against the scalar definition, bit for bit.
// Windows of all kinds, both ends of every range, results in place, ranges split as threads do, and guards behind outputs and scratch.
#pragma once
#include "conv_internal.h"
#include "fma.h"
#include "kernels_internal.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 1;

static uint32_t next(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    uint64_t x = state ^ (state >> 33);
    x *= 0xff51afd7ed558ccdu;
    return (uint32_t)(x >> 32);
}
static int32_t within(int32_t low, int32_t high) { return low + (int32_t)(next() % (uint32_t)(high - low + 1)); }
static float small_float(void) { return (float)within(-100000, 100000) * 1e-5f; }

static void *room(size_t bytes) {
    const size_t size = (bytes + 191) / 64 * 64;
    uint8_t *p = aligned_alloc(64, size);
    for (size_t i = 0; i < size; i++) p[i] = (uint8_t)next();
    return p;
}

// What a case is of. The last two have one weight a tap and channel.
enum { GENERAL = 0, DEPTHWISE = 1, TRANSPOSED = 2 };

// Windows of every kind; small, since every tail matters and no size does.
static alula_window random_window(int depthwise) {
    alula_window w = {.batch = within(1, 2), .groups = 1, .dilation_h = 1, .dilation_w = 1, .stride_h = 1, .stride_w = 1, .kernel_h = 1,
                      .kernel_w = 1};
    const int kind = within(0, 3);
    if (kind == 0) {
        // A linear layer.
        w.batch = w.in_h = w.out_h = 1;
        w.in_w = w.out_w = within(1, 120);
        w.in_c = within(1, 150);
        w.out_c = within(1, 150);
    } else {
        w.kernel_h = kind == 1 ? 1 : within(1, 5);
        w.kernel_w = within(1, 5);
        w.stride_h = within(1, 3);
        w.stride_w = within(1, 3);
        w.dilation_h = within(1, 4) == 1 ? 2 : 1;
        w.dilation_w = within(1, 4) == 1 ? 2 : 1;
        w.pad_top = within(0, w.kernel_h - 1);
        w.pad_left = within(0, w.kernel_w - 1);
        w.in_h = within(1, 14) + (w.kernel_h - 1) * w.dilation_h;
        w.in_w = within(1, 14) + (w.kernel_w - 1) * w.dilation_w;
        w.out_h = (w.in_h + w.pad_top + within(0, w.pad_top) - (w.kernel_h - 1) * w.dilation_h - 1) / w.stride_h + 1;
        w.out_w = (w.in_w + w.pad_left + within(0, w.pad_left) - (w.kernel_w - 1) * w.dilation_w - 1) / w.stride_w + 1;
        w.in_c = within(1, 3) == 1 ? 3 : within(1, 40);
        w.out_c = within(1, 90);
    }
    if (depthwise == TRANSPOSED) {
        w.stride_h = w.kernel_h;
        w.stride_w = w.kernel_w;
        w.dilation_h = w.dilation_w = 1;
        w.pad_top = w.pad_left = 0;
        w.out_h = w.in_h * w.kernel_h;
        w.out_w = w.in_w * w.kernel_w;
    }
    if (depthwise) {
        w.out_c = w.groups = w.in_c;
    } else if (within(1, 4) == 1) {
        w.groups = within(2, 4);
        w.in_c *= w.groups;
        w.out_c = (w.out_c % 40 + 1) * w.groups;
    }
    return w;
}

static int failures;

static void report(const char *kernel, const alula_window *w, size_t at, const char *what) {
    if (++failures > 10) return;
    printf("FAIL %s %s at %zu: batch %d in %dx%dx%d out %dx%dx%d groups %d kernel %dx%d stride %d,%d pad %d,%d dilation %d,%d\n",
           kernel, what, at, w->batch, w->in_h, w->in_w, w->in_c, w->out_h, w->out_w, w->out_c, w->groups, w->kernel_h, w->kernel_w,
           w->stride_h, w->stride_w, w->pad_top, w->pad_left, w->dilation_h, w->dilation_w);
}

static void check_u8s8(const char *name, alula_kernel kernel, int depthwise) {
    const alula_window w = random_window(depthwise);
    const size_t pixels = alula_pixels(&w), count = pixels * (size_t)w.out_c, inputs = (size_t)w.batch * (size_t)(w.in_h * w.in_w * w.in_c);
    const size_t padded = depthwise ? alula_round_up((size_t)w.out_c, 16) : (size_t)w.groups * alula_round_up(alula_group_outputs(&w), 16);
    const size_t depth = depthwise ? alula_taps(&w) : alula_depth_u8s8(&w), real = alula_group_inputs(&w), quads = (real + 3) / 4;
    uint8_t *input = room(inputs), *pad_row = room(alula_round_up((size_t)w.in_c, 4) + 64), *table = room(256), *residual = room(count);
    int8_t *weight = room(padded * depth);
    int32_t *bias = room(padded * 4);
    float *multiplier = room(padded * 4);
    const int extreme = within(1, 4) == 1;
    memset(pad_row, within(0, 255), alula_round_up((size_t)w.in_c, 4) + 64);
    if (extreme) for (size_t i = 0; i < inputs; i++) input[i] = within(0, 8) ? 255 : 0;
    // The quantizer writes no -128, but a file may hold one.
    const int32_t least = within(0, 3) ? -127 : -128;
    for (size_t i = 0; i < padded * depth; i++) {
        weight[i] = (int8_t)(extreme ? (within(0, 8) ? 127 : least) : within(least, 127));
        if (!depthwise && i / 64 % quads == quads - 1 && real % 4 && i % 4 >= real % 4) weight[i] = 0;
    }
    // Halves make ties.
    const int loud = within(1, 5) == 1, halves = within(1, 4) == 1;
    for (size_t i = 0; i < padded; i++) {
        bias[i] = extreme ? within(-2000000, 2000000) : within(-20000, 20000);
        multiplier[i] = loud ? small_float() * 60000 : (small_float() + 1.0f) * 2e-3f;
        if (halves) multiplier[i] = 1.0f / (float)(2 << within(0, 10));
    }
    alula_conv_u8s8_args a = {.window = w, .input = input, .weight = weight, .bias = bias, .multiplier = multiplier, .pad_row = pad_row,
                              .zero = within(0, 255), .low = 0, .high = 255, .residual_zero = within(0, 255),
                              .residual_multiplier = halves ? 0.5f : small_float() * 2};
    if (within(0, 2) == 0) a.low = a.zero;
    if (within(0, 2) == 0) a.high = within(a.low, 255);
    const int mode = within(0, 4);
    if (mode == 1) a.table = table;
    if (mode >= 3) a.residual = residual;
    uint8_t *expected = room(count * 4 + 256), *actual = room(count * 4 + 256);
    const int f32 = mode == 2 || mode == 4, in_place = mode == 3 && within(0, 1);
    const size_t size = count * (f32 ? 4 : 1);
    if (in_place) memcpy(expected, residual, count);
    memcpy(actual, expected, count * 4 + 128);
    uint8_t *scratch = room(depthwise ? alula_depthwise_u8s8_scratch(&a) : alula_conv_u8s8_scratch(&a));
    const size_t bytes = depthwise ? alula_depthwise_u8s8_scratch(&a) : alula_conv_u8s8_scratch(&a);
    memset(scratch + bytes, 0xA5, 64);
    const size_t items = depthwise ? pixels / (size_t)w.out_w : pixels;
    // A few calls in a row, as threads would split the items; some may be empty, and the last items may stay undone.
    const size_t cut[4] = {0, (size_t)within(0, (int32_t)items), 0, within(0, 3) ? items : (size_t)within(0, (int32_t)items)};
    for (int part = 0; part < 2; part++) {
        const size_t begin = part ? cut[1] : 0, end = part ? (cut[3] > cut[1] ? cut[3] : cut[1]) : cut[1];
        a.output = f32 ? 0 : expected;
        a.output_f32 = f32 ? (float *)(void *)expected : 0;
        if (in_place) a.residual = expected;
        (depthwise == TRANSPOSED ? alula_conv_transpose_u8s8_scalar : depthwise ? alula_depthwise_u8s8_scalar : alula_conv_u8s8_scalar)(
            &a, begin, end, 0);
        a.output = f32 ? 0 : actual;
        a.output_f32 = f32 ? (float *)(void *)actual : 0;
        if (in_place) a.residual = actual;
        kernel(&a, begin, end, scratch);
    }
    for (size_t i = 0; i < size + 64; i++) {
        if (expected[i] != actual[i]) {
            report(name, &w, i, i >= size ? "beyond the end" : f32 ? "f32" : a.table ? "table" : a.residual ? "residual" : "plain");
            break;
        }
    }
    for (size_t i = 0; i < 64; i++) if (scratch[bytes + i] != 0xA5) { report(name, &w, i, "beyond scratch"); break; }
    void *all[] = {input, pad_row, table, residual, weight, bias, multiplier, expected, actual, scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static void check_f32(const char *name, alula_kernel kernel, int depthwise) {
    const alula_window w = random_window(depthwise);
    const size_t pixels = alula_pixels(&w), count = pixels * (size_t)w.out_c, inputs = (size_t)w.batch * (size_t)(w.in_h * w.in_w * w.in_c);
    const size_t padded = depthwise ? alula_round_up((size_t)w.out_c, 16) : (size_t)w.groups * alula_round_up(alula_group_outputs(&w), 16);
    const size_t depth = alula_taps(&w) * alula_group_inputs(&w);
    float *input = room(inputs * 4), *pad_row = room((size_t)w.in_c * 4 + 64), *weight = room(padded * depth * 4), *bias = room(padded * 4);
    float *residual = room(count * 4), *expected = room(count * 4), *actual = room(count * 4);
    memset(pad_row, 0, (size_t)w.in_c * 4 + 64);
    for (size_t i = 0; i < inputs; i++) input[i] = small_float();
    for (size_t i = 0; i < padded * depth; i++) weight[i] = small_float();
    for (size_t i = 0; i < padded; i++) bias[i] = small_float();
    for (size_t i = 0; i < count; i++) residual[i] = small_float();
    alula_conv_f32_args a = {.window = w, .input = input, .weight = weight, .pad_row = pad_row,
                             .activation = within(0, 1) ? ALULA_RELU : ALULA_NONE};
    if (within(0, 3)) a.bias = bias;
    const int in_place = within(0, 3) == 0;
    if (within(0, 1)) a.residual = residual;
    memcpy(expected, residual, count * 4);
    memcpy(actual, expected, count * 4 + 64);
    const size_t items = depthwise ? pixels / (size_t)w.out_w : pixels, cut = (size_t)within(0, (int32_t)items);
    const size_t bytes = alula_conv_f32_scratch(&a);
    uint8_t *scratch = room(bytes);
    memset(scratch + bytes, 0xA5, 64);
    for (int part = 0; part < 2; part++) {
        a.output = expected;
        if (in_place) a.residual = expected;
        (depthwise ? alula_depthwise_f32_scalar : alula_conv_f32_scalar)(&a, part ? cut : 0, part ? items : cut, 0);
        a.output = actual;
        if (in_place) a.residual = actual;
        kernel(&a, part ? cut : 0, part ? items : cut, scratch);
    }
    const int equal = !memcmp(expected, actual, count * 4 + 64);
    if (!equal) {
        size_t i = 0;
        while (!memcmp(expected + i, actual + i, 4)) i++;
        report(name, &w, i, "f32");
    }
    for (size_t i = 0; i < 64; i++) if (scratch[bytes + i] != 0xA5) { report(name, &w, i, "beyond scratch"); break; }
    void *all[] = {input, pad_row, weight, bias, residual, expected, actual, scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static float any_float(void) {
    uint32_t bits = next();
    // Mostly numbers near each other, where sums cancel and halfway cases arise; all others too.
    if (within(0, 3)) bits = (bits & 0x80ffffff) | (uint32_t)within(58, 68) << 24;
    if (within(0, 3) == 0) bits &= 0xfffff000;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

static void check_fma(long count) {
    for (long i = 0; i < count; i++) {
        const float x = any_float(), y = any_float(), z = within(0, 3) ? any_float() : -x * y * (1 + (float)within(-2, 2) * 0x1p-23f);
        const float expected = fmaf(x, y, z), actual = alula_fma(x, y, z);
        if (memcmp(&expected, &actual, 4) && !(expected != expected && actual != actual)) {
            if (++failures > 10) continue;
            printf("FAIL fma(%a, %a, %a) = %a, not %a\n", (double)x, (double)y, (double)z, (double)expected, (double)actual);
        }
    }
}

// Table lookups of every length up to two registers and a tail, at every alignment.
static void check_table(const char *name, alula_kernel kernel) {
    uint8_t table[256], input[64 + 200], expected[200], actual[200];
    for (int i = 0; i < 256; i++) table[i] = (uint8_t)next();
    for (int i = 0; i < (int)sizeof input; i++) input[i] = (uint8_t)next();
    for (size_t n = 0; n < 200; n++) {
        memset(expected, 0, sizeof expected);
        memset(actual, 0, sizeof actual);
        alula_table_u8_args args = {.input = input + n % 64, .table = table, .output = expected};
        alula_table_u8_scalar(&args, 0, n, 0);
        args.output = actual;
        kernel(&args, 0, n, 0);
        if (memcmp(expected, actual, sizeof expected)) {
            printf("%s differs from scalar for %zu elements\n", name, n);
            failures++;
        }
    }
}

typedef struct {
    const char *name;
    void (*check)(const char *name, alula_kernel kernel, int depthwise);
    alula_kernel kernel;
    int depthwise;
} checked_kernel;

static void check_all(const checked_kernel *kernels, size_t count, long cases, const char *only) {
    for (long i = 0; i < cases; i++) {
        for (size_t k = 0; k < count; k++) {
            if (strstr(kernels[k].name, only)) kernels[k].check(kernels[k].name, kernels[k].kernel, kernels[k].depthwise);
        }
    }
}
