// The AVX-512 intrinsics, or SIMDe's portable versions of them (Tests/KernelEmulation), and the targets of functions that use them.
#pragma once
#ifdef ALULA_SIMDE
#include "simde_avx512.h"
#define ALULA_AVX512_VNNI
#else
#include <immintrin.h>
#define ALULA_AVX512_VNNI __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi")))
#endif
#define ALULA_AVX512_VNNI_INLINE ALULA_AVX512_VNNI static inline __attribute__((always_inline))
#define ALULA_UNROLL _Pragma("clang loop unroll(full)")
