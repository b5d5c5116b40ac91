// Fused multiply-add of f32 without the math library.
#pragma once
#include <stdint.h>

#if defined(__FMA__) || defined(__aarch64__) || defined(__FP_FAST_FMAF)
static inline float alula_fmaf(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
#else
// The product of two f32 is exact in double. Their sum with c is not always, and rounding twice (to double, then to float) would be
// wrong in halfway cases; so the sum is rounded to odd: of the two neighbours of an inexact sum, the one with an odd last bit. Double
// keeps 29 bits more than float, hence the second rounding then equals a single one (Boldo, Melquiond 2008), subnormals included.
static inline float alula_fmaf(float a, float b, float c) {
#pragma STDC FP_CONTRACT OFF
    const double product = (double)a * (double)b, addend = (double)c;
    double sum = product + addend;
    const double addend_part = sum - product;
    const double lost = (product - (sum - addend_part)) + (addend - addend_part);
    uint64_t bits;
    __builtin_memcpy(&bits, &sum, 8);
    const int finite = (bits >> 52 & 0x7ff) != 0x7ff;
    if (finite && lost != 0 && !(bits & 1)) {
        bits = (lost > 0) == (sum > 0) ? bits + 1 : bits - 1;
        __builtin_memcpy(&sum, &bits, 8);
    }
    return (float)sum;
}
#endif
