// Two 1x1 convolutions in row tiles: the wide tensor between them never exists, a tile of it lives in scratch.
//
// Bound: the two convolutions themselves; a tile adds two calls, and widening or fetching the weights once more. 64 kB of hidden rows stay in
// the second-level cache with the weights of one panel, and at 36 to 96 rows a tile the weights' part is 3 to 7 % of the arithmetic (AVX2).
#include "conv_internal.h"
#include "kernels_internal.h"

enum { ALULA_MLP_HIDDEN_BYTES = 64 * 1024, ALULA_MLP_ROWS = 96, ALULA_MLP_TILE_ROWS = 12 };

size_t alula_mlp_u8_rows(size_t hidden) {
    const size_t rows = ALULA_MLP_HIDDEN_BYTES / hidden / ALULA_MLP_TILE_ROWS * ALULA_MLP_TILE_ROWS;
    return rows < ALULA_MLP_TILE_ROWS ? ALULA_MLP_TILE_ROWS : alula_min(rows, ALULA_MLP_ROWS);
}

// The hidden rows, and 64 bytes that kernels may read after them.
static size_t hidden_bytes(const alula_mlp_u8_args *args) {
    const size_t hidden = (size_t)args->first.window.out_c;
    return alula_round_up(alula_min(alula_mlp_u8_rows(hidden), alula_pixels(&args->first.window)) * hidden + 64, 64);
}

size_t alula_mlp_u8_scratch(const alula_mlp_u8_args *args) {
    const size_t first = alula_conv_u8s8_scratch(&args->first), second = alula_conv_u8s8_scratch(&args->second);
    return hidden_bytes(args) + (first > second ? first : second);
}

// Each convolution takes rows 0..<n of windows that begin at the tile. The second reads a row's residual just before it writes the row, so the
// output may be the first one's input: that tile was consumed whole, and other tiles are not touched.
static inline void run(const void *args, size_t begin, size_t end, void *scratch, alula_kernel convolution) {
    const alula_mlp_u8_args *a = args;
    if (begin >= end) return;
    // An assignment of structs this large may become a call of memcpy.
    alula_conv_u8s8_args first, second;
    __builtin_memcpy_inline(&first, &a->first, sizeof first);
    __builtin_memcpy_inline(&second, &a->second, sizeof second);
    const size_t inputs = (size_t)first.window.in_c, outputs = (size_t)second.window.out_c;
    const size_t rows = alula_block_rows(end - begin, alula_mlp_u8_rows((size_t)first.window.out_c), ALULA_MLP_TILE_ROWS);
    first.output = scratch;
    second.input = scratch;
    scratch = (uint8_t *)scratch + hidden_bytes(a);
    for (size_t row = begin; row < end; row += rows) {
        const size_t n = alula_min(rows, end - row);
        first.input = a->first.input + row * inputs;
        convolution(&first, 0, n, scratch);
        second.output = a->second.output + row * outputs;
        if (second.residual) second.residual = a->second.residual + row * outputs;
        convolution(&second, 0, n, scratch);
    }
}

#define MLP(isa) \
    void alula_mlp_u8_##isa(const void *args, size_t begin, size_t end, void *scratch) { run(args, begin, end, scratch, alula_conv_u8s8_##isa); }
MLP(scalar)
#if defined(__x86_64__)
MLP(avx2)
MLP(avx512vnni)
#elif ALULA_ARM64
MLP(neon)
MLP(neondot)
MLP(i8mm)
#elif defined(__wasm_simd128__)
MLP(simd128)
#endif
