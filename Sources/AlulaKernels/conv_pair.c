// Two convolutions in bands of rows: the tensor between them never exists, a band of it lives in scratch.
//
// Bound: the two convolutions themselves. A band adds two calls, reads the weights once more, and computes the rows again that its second
// convolution shares with the band before (a kernel's height less its stride; none in an MLP). 64 kB of them stay in the second-level cache
// with the weights of one panel, and at 36 to 96 rows a band of an MLP the weights' part is 3 to 7 % of the arithmetic (AVX2).
#include "conv_internal.h"
#include "kernels_internal.h"

enum { ALULA_PAIR_BYTES = 64 * 1024, ALULA_PAIR_ROWS = 96, ALULA_PAIR_TILE_ROWS = 12 };

#define ALULA_PAIR_ARGS alula_pair_u8_args
#define ALULA_CONV_ARGS alula_conv_u8s8_args
#define ALULA_ELEMENT uint8_t
#define ALULA_PAIR(name) name##_u8
#include "conv_pair_body.h"

size_t alula_pair_u8_rows(const alula_window *second) { return band_u8(second); }

size_t alula_pair_u8_scratch(const alula_pair_u8_args *args) {
    const size_t first = alula_conv_u8s8_scratch(&args->first);
    const size_t second = args->depthwise ? alula_depthwise_u8s8_scratch(&args->second) : alula_conv_u8s8_scratch(&args->second);
    return hidden_bytes_u8(&args->second.window) + (first > second ? first : second);
}

#define PAIR(isa, depthwise_isa)                                                                                      \
    void alula_pair_u8_##isa(const void *args, size_t begin, size_t end, void *scratch) {                             \
        const alula_pair_u8_args *a = args;                                                                           \
        run_u8(a, begin, end, scratch, alula_conv_u8s8_##isa,                                                         \
               a->depthwise ? alula_depthwise_u8s8_##depthwise_isa : alula_conv_u8s8_##isa);                          \
    }
PAIR(scalar, scalar)
#if defined(__x86_64__)
PAIR(avx2, avx2)
PAIR(avxvnni, avx2)
PAIR(avx512vnni, avx512vnni)
#elif ALULA_ARM64
PAIR(neon, neon)
PAIR(neondot, neon)
PAIR(i8mm, neon)
#elif defined(__wasm_simd128__)
PAIR(simd128, scalar)
#endif
