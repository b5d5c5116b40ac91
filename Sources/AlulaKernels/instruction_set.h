// What the files of one instruction set share. A body header (`<family>_body.h`) holds the code once; the file of each instruction set
// includes it between ALULA_BEGIN_AVX2 and ALULA_END_AVX2 (or AVX512, or plainly, for scalar) after defining ALULA_SUFFIX, so that the compiler
// vectorises the same sequence of operations for each. With contraction off and reductions written out in order, every
// instruction set then gives the same bytes by construction.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ALULA_INLINE static inline __attribute__((always_inline))

#define ALULA_JOIN2(a, b) a##b
#define ALULA_JOIN(a, b) ALULA_JOIN2(a, b)
// The external name of a family's kernel in this file: alula_<family>_<suffix>.
#define ALULA_SYMBOL(family) ALULA_JOIN(ALULA_JOIN(alula_, family), ALULA_SUFFIX)

#define ALULA_PRAGMA(text) _Pragma(#text)
#if defined(__x86_64__)
#define ALULA_BEGIN_AVX2 ALULA_PRAGMA(clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function))
#define ALULA_END_AVX2 ALULA_PRAGMA(clang attribute pop)
#if defined(ALULA_SIMDE)                 // Tests/KernelEmulation: the CPU has AVX2 only
#define ALULA_BEGIN_AVX512 ALULA_BEGIN_AVX2
#else
#define ALULA_BEGIN_AVX512 \
    ALULA_PRAGMA(clang attribute push(__attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function))
#endif
#define ALULA_END_AVX512 ALULA_PRAGMA(clang attribute pop)
#endif

// Before a loop whose iterations touch only their own elements: outputs may be the same memory as an input, but never a shifted part of it.
// Two vectors at a time: an elementary function is a chain of some thirty operations, and a scheduler's window holds little more than one.
#define ALULA_VECTORIZE ALULA_PRAGMA(clang loop vectorize(assume_safety) interleave_count(2))
// A target without vector registers cannot follow the hint; that is no defect worth a warning.
#pragma clang diagnostic ignored "-Wpass-failed"

ALULA_INLINE int32_t alula_min_i32(int32_t a, int32_t b) { return a < b ? a : b; }
ALULA_INLINE int32_t alula_max_i32(int32_t a, int32_t b) { return a > b ? a : b; }
ALULA_INLINE size_t alula_min_size(size_t a, size_t b) { return a < b ? a : b; }
ALULA_INLINE size_t alula_round_up(size_t value, size_t multiple) { return (value + multiple - 1) / multiple * multiple; }
