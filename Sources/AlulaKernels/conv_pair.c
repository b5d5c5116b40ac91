// Two convolutions in bands of rows: the tensor between them never exists, a band of it lives in scratch.
//
// Bound: the two convolutions themselves. A band adds two calls, reads the weights once more, and computes the rows again that its second
// convolution shares with the band before (a kernel's height less its stride; none in an MLP). 64 kB of them stay in the second-level cache
// with the weights of one panel. An MLP's bands are larger, so that wide layers do not read their weights too often: at 36 to 96 rows a band the
// weights' part is 3 to 7 % of the arithmetic (AVX2), and at 12 rows, what 64 kB hold of EfficientFormer-L7's last stage, they come from memory 4 times.
#include "conv_internal.h"
#include "kernels_internal.h"

enum { ALULA_PAIR_ROWS = 96, ALULA_PAIR_TILE_ROWS = 12 };

#define ALULA_PAIR_ARGS alula_pair_u8_args
#define ALULA_CONV_ARGS alula_conv_u8s8_args
#define ALULA_ELEMENT uint8_t
#define ALULA_BAND_BYTES (64 * 1024)
#define ALULA_ROWS_BYTES (160 * 1024)
#define ALULA_PAIR(name) name##_u8
#include "conv_pair_body.h"
#undef ALULA_PAIR_ARGS
#undef ALULA_CONV_ARGS
#undef ALULA_ELEMENT
#undef ALULA_BAND_BYTES
#undef ALULA_ROWS_BYTES
#undef ALULA_PAIR

#define ALULA_PAIR_ARGS alula_pair_f32_args
#define ALULA_CONV_ARGS alula_conv_f32_args
#define ALULA_ELEMENT float
#define ALULA_BAND_BYTES (256 * 1024)
#define ALULA_ROWS_BYTES (256 * 1024)
#define ALULA_PAIR(name) name##_f32
#include "conv_pair_body.h"

size_t alula_pair_u8_rows(const alula_window *second) { return band_u8(second); }

size_t alula_pair_u8_scratch(const alula_pair_u8_args *args) {
    const size_t first = alula_conv_u8s8_scratch(&args->first);
    const size_t second = args->depthwise ? alula_depthwise_u8s8_scratch(&args->second) : alula_conv_u8s8_scratch(&args->second);
    return hidden_bytes_u8(&args->second.window) + (first > second ? first : second);
}

size_t alula_pair_f32_rows(const alula_window *second) { return band_f32(second); }

size_t alula_pair_f32_scratch(const alula_pair_f32_args *args) {
    const size_t first = alula_conv_f32_scratch(&args->first), second = args->depthwise ? 0 : alula_conv_f32_scratch(&args->second);
    return hidden_bytes_f32(&args->second.window) + (first > second ? first : second);
}

#define PAIR(type, conv, depthwise_conv, suffix, isa, depthwise_isa)                                                        \
    void alula_pair_##type##_##suffix(const void *args, size_t begin, size_t end, void *scratch) {                          \
        const alula_pair_##type##_args *a = args;                                                                          \
        run_##type(a, begin, end, scratch, alula_##conv##_##isa,                                                           \
                   a->depthwise ? alula_##depthwise_conv##_##depthwise_isa : alula_##conv##_##isa);                        \
    }
#define PAIR_U8(isa, depthwise_isa) PAIR(u8, conv_u8s8, depthwise_u8s8, isa, isa, depthwise_isa)
#define PAIR_F32(suffix, isa, depthwise_isa) PAIR(f32, conv_f32, depthwise_f32, suffix, isa, depthwise_isa)
PAIR_U8(scalar, scalar)
PAIR_F32(scalar, scalar, scalar)
#if defined(__x86_64__)
PAIR_U8(avx2, avx2)
PAIR_U8(avxvnni, avx2)
PAIR_U8(avx512vnni, avx512vnni)
PAIR_F32(avx2, avx2, avx2)
PAIR_F32(avx512vnni, avx512, avx512)
#elif ALULA_ARM64
PAIR_U8(neon, neon)
PAIR_U8(neondot, neon)
PAIR_U8(i8mm, neon)
PAIR_F32(neon, neon, neon)
#elif defined(__wasm_simd128__)
PAIR_U8(simd128, scalar)
#endif
