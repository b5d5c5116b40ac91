// x^y in f32. Worked out in double from one logarithm and one exponential, so the result is within 1 ulp (0.5 ulp plus 1e-9) for every
// finite argument; NaN and infinite cases follow C's pow.
#pragma once
#include "math_body.h"

ALULA_INLINE double alula_f64_from_bits(uint64_t bits) {
    union { uint64_t bits; double value; } pun = {.bits = bits};
    return pun.value;
}

ALULA_INLINE uint64_t alula_bits_of_f64(double value) {
    union { double value; uint64_t bits; } pun = {.value = value};
    return pun.bits;
}

// log2 of a positive, finite, normal double, relative error about 1e-14. (Denormal floats are normal doubles.)
ALULA_INLINE double alula_log2_positive(double x) {
    uint64_t bits = alula_bits_of_f64(x);
    uint64_t offset = bits - 0x3FE6A09E667F3BCDull;            // m in [sqrt(1/2), sqrt(2))
    double exponent = (double)((int64_t)offset >> 52);
    double m = alula_f64_from_bits((offset & 0x000FFFFFFFFFFFFFull) + 0x3FE6A09E667F3BCDull);
    double s = (m - 1.0) / (m + 1.0), z = s * s;               // log m = 2 atanh s, |s| <= 0.1716
    double p = 1.0 / 17.0;
    p = p * z + 1.0 / 15.0;
    p = p * z + 1.0 / 13.0;
    p = p * z + 1.0 / 11.0;
    p = p * z + 1.0 / 9.0;
    p = p * z + 1.0 / 7.0;
    p = p * z + 1.0 / 5.0;
    p = p * z + 1.0 / 3.0;
    p = p * z + 1.0;
    return exponent + (2.0 * s * p) * 1.4426950408889634;
}

// 2^x for |x| <= 1000, relative error about 1e-14.
ALULA_INLINE double alula_exp2_double(double x) {
    double shifted = x + 6755399441055744.0;                   // 1.5 * 2^52: rounds to nearest
    double r = (x - (shifted - 6755399441055744.0)) * 0.6931471805599453;
    double p = 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    uint64_t exponent = alula_bits_of_f64(shifted) - 0x4338000000000000ull;
    return p * alula_f64_from_bits((exponent + 1023) << 52);
}

ALULA_INLINE float alula_powf(float x, float y) {
    float infinity = __builtin_inff();
    if (y == 0.0f || x == 1.0f) return 1.0f;
    if (x != x || y != y) return x + y;
    if (y == 1.0f) return x;
    if (y == 2.0f) return x * x;
    if (y == 0.5f && x >= 0.0f) return alula_sqrtf(x);
    float size = alula_absf(x), reach = alula_absf(y);
    // A float of 2^24 and more is an even integer.
    bool small = reach < 16777216.0f;
    int32_t whole = small ? (int32_t)reach : 0;
    bool integer = !small || (float)whole == reach;
    bool odd = small && integer && (whole & 1);
    float result;
    if (size == 0.0f || size == infinity) {
        result = (size == 0.0f) == (y < 0.0f) ? infinity : 0.0f;
    } else if (reach == infinity) {
        result = size == 1.0f ? 1.0f : (size > 1.0f) == (y > 0.0f) ? infinity : 0.0f;
    } else if (x < 0.0f && !integer) {
        return __builtin_nanf("");
    } else {
        double power = alula_log2_positive(size) * (double)y;
        power = power < -1000.0 ? -1000.0 : power;
        power = power > 1000.0 ? 1000.0 : power;
        result = (float)alula_exp2_double(power);
    }
    return odd ? alula_copysignf(result, x) : result;
}
