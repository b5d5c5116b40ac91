// Fused multiply-add, a * b + c rounded once, the same bits on every target.
#pragma once
#include <stdint.h>

// A file compiled with function-level targets defines ALULA_TARGET_HAS_FMA before including this (the target macro __FMA__ describes
// command-line flags only).
static inline __attribute__((always_inline)) float alula_fma(float a, float b, float c) {
#if defined(ALULA_TARGET_HAS_FMA) || defined(__FMA__) || defined(__aarch64__) || defined(__ARM_FEATURE_FMA)
    return __builtin_elementwise_fma(a, b, c);
#else
    // The product of two floats is exact in double. The sum is rounded to odd (truncated, last bit set when inexact), which leaves
    // the final rounding to float as if from the exact sum, because double has more than twice the bits and two to spare.
    double product = (double)a * (double)b, addend = (double)c;
    double sum = product + addend;
    double part = sum - product;
    double error = (product - (sum - part)) + (addend - part);
    union { double value; uint64_t bits; } odd = {sum};
    uint64_t inexact = (uint64_t)((error > 0.0) | (error < 0.0));    // false when error is NaN: the sum is infinite or NaN
    uint64_t even = ~odd.bits & 1;
    uint64_t step = (error > 0.0) == (sum > 0.0) ? 1 : UINT64_MAX;  // away from zero or towards it
    odd.bits += (inexact & even) ? step : 0;
    return (float)odd.value;
#endif
}
