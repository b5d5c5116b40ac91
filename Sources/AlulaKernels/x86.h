// The x86 intrinsics, or SIMDe's portable versions of them: with ALULA_SIMDE the hand-written kernels of instruction sets that this CPU lacks
// can be tested.
#pragma once
#if defined(ALULA_SIMDE)
#define SIMDE_NO_NATIVE
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx2.h>
#include <simde/x86/avx512.h>
#include <simde/x86/fma.h>
#define ALULA_TARGET(features)
#elif defined(__x86_64__)
#include <immintrin.h>
#define ALULA_TARGET(features) __attribute__((target(features)))
#endif
#define ALULA_TARGET_AVX2 ALULA_TARGET("avx2,fma")
#define ALULA_TARGET_AVX512VNNI ALULA_TARGET("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi")
