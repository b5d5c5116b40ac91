// Speed of the convolution kernels on the shapes of EfficientFormer-L1 at 224x224, one thread, best of many runs:
// GMAC/s and the share of the instruction set's own register-only peak.
//
//   clang -O2 -std=c11 -ISources/AlulaKernels/include benchmarks/kernels/gemm_bench.c Sources/AlulaKernels/*.c -o gemm_bench
//   ./gemm_bench
//
// An argument (scalar, avx2, avx512vnni) chooses one instruction set; scalar is left out otherwise. A second one is a part of the shapes' names.
#define _POSIX_C_SOURCE 200809L
#include "alula_kernels.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t nanoseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

typedef struct { const char *name; int size, in_c, out_c, kernel, stride, depthwise; } shape;

static const shape shapes[] = {
    // Matrix products, M x K x N: size is M.
    {"mlp 3136x48x192", 3136, 48, 192, 1, 1, 0}, {"mlp 3136x192x48", 3136, 192, 48, 1, 1, 0},
    {"mlp 784x96x384", 784, 96, 384, 1, 1, 0}, {"mlp 784x384x96", 784, 384, 96, 1, 1, 0},
    {"mlp 196x224x896", 196, 224, 896, 1, 1, 0}, {"mlp 196x896x224", 196, 896, 224, 1, 1, 0},
    {"mlp 49x448x1792", 49, 448, 1792, 1, 1, 0}, {"mlp 49x1792x448", 49, 1792, 448, 1, 1, 0},
    {"qkv 49x448x1536", 49, 448, 1536, 1, 1, 0}, {"proj 49x1024x448", 49, 1024, 448, 1, 1, 0}, {"head 1x448x1000", 1, 448, 1000, 1, 1, 0},
    // Convolutions on size x size pixels.
    {"conv 3x3/2 3>24 @224", 224, 3, 24, 3, 2, 0}, {"conv 3x3/2 24>48 @112", 112, 24, 48, 3, 2, 0},
    {"conv 3x3/2 48>96 @56", 56, 48, 96, 3, 2, 0}, {"conv 3x3/2 96>224 @28", 28, 96, 224, 3, 2, 0},
    {"conv 3x3/2 224>448 @14", 14, 224, 448, 3, 2, 0},
    // Depthwise convolutions of mobile networks.
    {"depthwise 3x3 96 @56", 56, 96, 96, 3, 1, 1}, {"depthwise 3x3/2 96 @56", 56, 96, 96, 3, 2, 1},
    {"depthwise 5x5 256 @14", 14, 256, 256, 5, 1, 1},
};

static void *filled(size_t bytes, int small) {
    uint8_t *p = aligned_alloc(64, (bytes + 255) / 64 * 64);
    for (size_t i = 0; i < (bytes + 255) / 64 * 64; i++) p[i] = small ? (uint8_t)(rand() % 255 - 127) : (uint8_t)rand();
    return p;
}

static float *filled_f32(size_t count) {
    float *p = aligned_alloc(64, (count * 4 + 255) / 64 * 64);
    for (size_t i = 0; i < (count * 4 + 255) / 64 * 16; i++) p[i] = (float)(rand() % 2001 - 1000) * 1e-3f;
    return p;
}

static double best_seconds(alula_kernel kernel, const void *args, size_t items, void *scratch) {
    double best = 1e9, total = 0;
    for (int run = 0; run < 200 && (run < 5 || total < 0.15); run++) {
        const uint64_t start = nanoseconds();
        kernel(args, 0, items, scratch);
        const double seconds = (double)(nanoseconds() - start) * 1e-9;
        total += seconds;
        if (seconds < best) best = seconds;
    }
    return best;
}

int main(int count, char **arguments) {
    for (int isa = 0; isa < ALULA_ISA_COUNT; isa++) {
        const alula_kernel_table *table = alula_kernels_for((alula_isa)isa);
        if (!table || (count > 1 ? strcmp(table->name, arguments[1]) != 0 : isa == ALULA_ISA_SCALAR)) continue;
        printf("%s: peak %.1f GMAC/s\n%-24s %8s %6s %8s %8s %8s\n", table->name,
               alula_measure_peak_u8s8((alula_isa)isa, nanoseconds, 50) * 1e-9, "GMAC/s, u8*s8 or f32", "plain", "%peak", "table",
               "residual", "f32");
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            const shape *h = &shapes[s];
            if (count > 2 && !strstr(h->name, arguments[2])) continue;
            const int image = h->kernel > 1, out = image ? (h->size + h->stride - 1) / h->stride : h->size, pad = h->kernel / 2;
            const size_t pixels = image ? (size_t)out * (size_t)out : (size_t)out, taps = (size_t)(h->kernel * h->kernel);
            const size_t per_group = h->depthwise ? 1 : (size_t)h->in_c;
            const size_t inputs = (size_t)h->in_c * (size_t)h->size * (image ? (size_t)h->size : 1);
            const size_t packed = h->depthwise ? taps * (((size_t)h->out_c + 15) / 16 * 16)
                                               : ((size_t)h->out_c + 15) / 16 * 16 * taps * ((per_group + 3) / 4 * 4);
            const double macs = (double)pixels * (double)h->out_c * (double)(taps * per_group);
            alula_conv_u8s8_args q = {
                .window = {.batch = 1, .in_h = image ? h->size : 1, .in_w = h->size, .out_h = image ? out : 1, .out_w = out,
                           .in_c = h->in_c, .out_c = h->out_c, .groups = h->depthwise ? h->in_c : 1,
                           .kernel_h = h->kernel, .kernel_w = h->kernel,
                           .stride_h = h->stride, .stride_w = h->stride, .pad_top = pad, .pad_left = pad, .dilation_h = 1, .dilation_w = 1},
                .input = filled(inputs, 0), .weight = filled(packed, 1), .bias = filled(((size_t)h->out_c + 16) * 4, 0),
                .pad_row = filled((size_t)h->in_c + 128, 0), .output = filled(pixels * (size_t)h->out_c, 0),
                .zero = 100, .low = 0, .high = 255, .residual_zero = 3, .residual_multiplier = 0.3f};
            float *multiplier = filled_f32((size_t)h->out_c + 16);
            for (int i = 0; i < h->out_c + 16; i++) multiplier[i] = 1e-4f;
            q.multiplier = multiplier;
            uint8_t *table_bytes = filled(256, 0), *residual = filled(pixels * (size_t)h->out_c, 0);
            void *scratch = filled(h->depthwise ? alula_depthwise_u8s8_scratch(&q) : alula_conv_u8s8_scratch(&q), 0);
            const alula_kernel kernel = h->depthwise ? table->depthwise_u8s8 : table->conv_u8s8;
            const size_t items = h->depthwise ? (size_t)out : pixels;
            const double plain = best_seconds(kernel, &q, items, scratch);
            q.table = table_bytes;
            const double looked_up = best_seconds(kernel, &q, items, scratch);
            q.table = 0;
            q.residual = residual;
            const double added = best_seconds(kernel, &q, items, scratch);
            alula_conv_f32_args f = {.window = q.window, .input = filled_f32(inputs), .weight = filled_f32(packed),
                                     .bias = filled_f32((size_t)h->out_c + 16), .pad_row = filled_f32((size_t)h->in_c + 32),
                                     .output = filled_f32(pixels * (size_t)h->out_c)};
            void *scratch_f32 = filled(alula_conv_f32_scratch(&f), 0);
            const double f32 = best_seconds(h->depthwise ? table->depthwise_f32 : table->conv_f32, &f, items, scratch_f32);
            // The share is of the peak around this shape: the clock of a shared machine moves.
            const double peak = alula_measure_peak_u8s8((alula_isa)isa, nanoseconds, 5);
            printf("%-24s %8.1f %6.1f %8.1f %8.1f %8.1f\n", h->name, macs / plain * 1e-9, 100 * macs / plain / peak,
                   macs / looked_up * 1e-9, macs / added * 1e-9, macs / f32 * 1e-9);
            const void *all[] = {q.input, q.weight, q.bias, q.pad_row, q.output, multiplier, table_bytes, residual, scratch,
                                 f.input, f.weight, f.bias, f.pad_row, f.output, scratch_f32};
            for (size_t i = 0; i < sizeof all / sizeof *all; i++) free((void *)(uintptr_t)all[i]);
        }
    }
    return 0;
}
