// Elementary functions in f32: branch-free, so that loops over them vectorise, and made of correctly rounded operations only, so that they give
// the same bits on every target. Errors are asserted by ElementwiseKernelTests.
#pragma once
#include "fma.h"
#include "requantize.h"

// exp(x), error <= 1 ulp; +inf above 88.73, denormal results below -87.34, 0 below -103.98; NaN stays NaN.
ALULA_INLINE float alula_expf(float x) {
    x = x < -104.5f ? -104.5f : x;
    x = x > 89.0f ? 89.0f : x;
    float shifted = x * 1.44269504f + 12582912.0f;           // x / ln 2, rounded by the last place of 1.5 * 2^23
    float n = shifted - 12582912.0f;
    float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;  // ln 2 in two parts; the first product is exact
    float p = 0.001381446490995586f;                         // minimax of (exp(r) - 1 - r) / r^2 on |r| <= ln 2 / 2
    p = p * r + 0.008368780836462975f;
    p = p * r + 0.04166839271783829f;
    p = p * r + 0.1666651964187622f;
    p = p * r + 0.4999999403953552f;
    p = (p * (r * r) + r) + 1.0f;
    // 2^n in two factors: only the last product can round (into a denormal) or overflow.
    int32_t exponent = (int32_t)(alula_bits_of_f32(shifted) - 0x4B400000u);
    int32_t half = exponent >> 1;
    float first = alula_f32_from_bits((uint32_t)(half + 127) << 23);
    float second = alula_f32_from_bits((uint32_t)(exponent - half + 127) << 23);
    return (p * first) * second;
}

// log(x), error <= 0.8 ulp; -inf at 0, NaN below.
ALULA_INLINE float alula_logf(float x) {
    bool denormal = x < 1.17549435e-38f;
    uint32_t bits = alula_bits_of_f32(denormal ? x * 8388608.0f : x);
    // Split x = 2^n * m with m in [sqrt(1/2), sqrt(2)).
    uint32_t offset = bits - 0x3F3504F3u;
    int32_t exponent = (int32_t)offset >> 23;
    float f = alula_f32_from_bits((offset & 0x007FFFFFu) + 0x3F3504F3u) - 1.0f;
    float n = (float)(exponent - (denormal ? 23 : 0));
    float p = 7.0376836292e-2f;                              // Cephes logf
    p = p * f - 1.1514610310e-1f;
    p = p * f + 1.1676998740e-1f;
    p = p * f - 1.2420140846e-1f;
    p = p * f + 1.4249322787e-1f;
    p = p * f - 1.6668057665e-1f;
    p = p * f + 2.0000714765e-1f;
    p = p * f - 2.4999993993e-1f;
    p = p * f + 3.3333331174e-1f;
    float z = f * f;
    float y = (p * z) * f + n * -2.12194440e-4f;
    y = y - 0.5f * z;
    y = (f + y) + n * 0.693359375f;
    y = x == 0.0f ? -__builtin_inff() : y;
    y = x < 0.0f ? __builtin_nanf("") : y;
    return ((x == __builtin_inff()) | (x != x)) ? x : y;
}

ALULA_INLINE float alula_absf(float x) { return alula_f32_from_bits(alula_bits_of_f32(x) & 0x7FFFFFFFu); }

ALULA_INLINE float alula_copysignf(float magnitude, float sign) {
    return alula_f32_from_bits((alula_bits_of_f32(magnitude) & 0x7FFFFFFFu) | (alula_bits_of_f32(sign) & 0x80000000u));
}

// erf(x), absolute error <= 1.4e-7, 2.5 ulp. From 0.8 up 1 - erfc(z), with the fourth root of erfc as a polynomial (see alula_geluf);
// at 4 that is 1.
ALULA_INLINE float alula_erff(float x) {
    float z = alula_absf(x), square = x * x;
    float p = -0.0006535234861075878f;                       // erf(x) / x in x^2, |x| < 0.8
    p = p * square + 0.005085130222141743f;
    p = p * square - 0.02682080678641796f;
    p = p * square + 0.11283113062381744f;
    p = p * square - 0.3761260211467743f;
    p = p * square + 1.1283791065216064f;
    float clamped = z > 4.0f ? 4.0f : z;
    float q = alula_fma(-4.124936822336167e-05f, clamped, 0.0004690837231464684f);
    q = alula_fma(q, clamped, -0.0011257228907197714f);
    q = alula_fma(q, clamped, -0.005840443540364504f);
    q = alula_fma(q, clamped, 0.02853163704276085f);
    q = alula_fma(q, clamped, 0.0035878203343600035f);
    q = alula_fma(q, clamped, -0.11104432493448257f);
    q = alula_fma(q, clamped, -0.28528404235839844f);
    q = alula_fma(q, clamped, 1.0005167722702026f);
    q = q * q;
    return z < 0.8f ? x * p : alula_copysignf(1.0f - q * q, x);
}

// x * Phi(x) = max(x, 0) - z * Phi(-z), z = |x|. Only a high degree follows Phi(-z), but its eighth root falls from 0.92 to 0.07 between 0 and 6, and
// degree 8 is enough: three products in place of an exponential and a division. Absolute error <= 1.7e-7 below 2, 1 ulp above. Below 0 the
// relative error is 2e-6 up to -3, but 5e-4 at -6 (x / 2 * (1 + erf) has lost all digits there); from -6 down the result stays at -6e-9.
ALULA_INLINE float alula_geluf(float x) {
    float z = alula_absf(x);
    z = z > 6.0f ? 6.0f : z;
    float positive = x > 0.0f ? x : 0.0f;
    float p = alula_fma(-3.030280311122624e-07f, z, 7.568967703264207e-06f);
    p = alula_fma(p, z, -6.068595394026488e-05f);
    p = alula_fma(p, z, 3.527039734763093e-05f);
    p = alula_fma(p, z, 0.0015033462550491095f);
    p = alula_fma(p, z, -0.0006717164069414139f);
    p = alula_fma(p, z, -0.031927742063999176f);
    p = alula_fma(p, z, -0.09145762771368027f);
    p = alula_fma(p, z, 0.9170040488243103f);
    p = p * p;
    p = p * p;
    return alula_fma(-z, p * p, positive);
}

// 1 / (1 + exp(-x)), error <= 2.4 ulp; so is SiLU's.
ALULA_INLINE float alula_sigmoidf(float x) { return 1.0f / (1.0f + alula_expf(-x)); }

ALULA_INLINE float alula_siluf(float x) { return x / (1.0f + alula_expf(-x)); }

// x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))), written with a sigmoid.
ALULA_INLINE float alula_gelu_tanhf(float x) {
    float u = 1.59576912f * (x + 0.044715f * (x * x * x));
    return x / (1.0f + alula_expf(-u));
}

// tanh(x), error <= 1.3 ulp.
ALULA_INLINE float alula_tanhf(float x) {
    float z = alula_absf(x), square = x * x;
    float p = -5.70498872745e-3f;                            // Cephes tanhf, |x| < 0.625
    p = p * square + 2.06390887954e-2f;
    p = p * square - 5.37397155531e-2f;
    p = p * square + 1.33314422036e-1f;
    p = p * square - 3.33332819422e-1f;
    float near = (p * square) * x + x;
    float far = alula_copysignf(1.0f - 2.0f / (alula_expf(z + z) + 1.0f), x);
    return ((z < 0.625f) | (x != x)) ? near : far;
}

ALULA_INLINE float alula_clampf(float x, float low, float high) {
    x = x < low ? low : x;
    return x > high ? high : x;
}

ALULA_INLINE float alula_reluf(float x) { return x < 0.0f ? 0.0f : x; }
ALULA_INLINE float alula_relu6f(float x) { return alula_clampf(x, 0.0f, 6.0f); }
ALULA_INLINE float alula_hard_swishf(float x) { return x * alula_clampf(x + 3.0f, 0.0f, 6.0f) / 6.0f; }
ALULA_INLINE float alula_hard_sigmoidf(float x) { return alula_clampf(x / 6.0f + 0.5f, 0.0f, 1.0f); }
ALULA_INLINE float alula_sqrtf(float x) { return __builtin_elementwise_sqrt(x); }   // an instruction; the libm builtin would set errno
ALULA_INLINE float alula_rsqrtf(float x) { return 1.0f / alula_sqrtf(x); }
ALULA_INLINE float alula_reciprocalf(float x) { return 1.0f / x; }
ALULA_INLINE float alula_negatef(float x) { return -x; }
ALULA_INLINE float alula_identityf(float x) { return x; }

// The nearest integer, ties to even; numbers from 2^23 up are integers.
ALULA_INLINE float alula_roundf(float x) {
    float size = alula_absf(x);
    return size < 8388608.0f ? alula_copysignf((size + 8388608.0f) - 8388608.0f, x) : x;
}
ALULA_INLINE float alula_floorf(float x) {
    float nearest = alula_roundf(x);
    return alula_copysignf(nearest > x ? nearest - 1.0f : nearest, x);
}
ALULA_INLINE float alula_ceilf(float x) { return -alula_floorf(-x); }
ALULA_INLINE float alula_signf(float x) {
    float sign = (float)(x > 0.0f) - (float)(x < 0.0f);
    return x == x ? sign : x;
}

ALULA_INLINE float alula_softsignf(float x) { return x / (1.0f + alula_absf(x)); }
// x * tanh(log(1 + e)), e = exp(x), is x * (e^2 + 2 e) / (e^2 + 2 e + 2); from 20 up it is x. Error <= 4 ulp.
ALULA_INLINE float alula_mishf(float x) {
    float e = alula_expf(x > 20.0f ? 20.0f : x), p = e * e + 2.0f * e;
    return x > 20.0f ? x : x * (p / (p + 2.0f));
}
ALULA_INLINE float alula_swishf(float x, float alpha) { return x / (1.0f + alula_expf(-(alpha * x))); }
ALULA_INLINE float alula_leaky_reluf(float x, float slope) { return x < 0.0f ? slope * x : x; }
ALULA_INLINE float alula_thresholded_reluf(float x, float alpha) { return x > alpha ? x : (x == x ? 0.0f : x); }
ALULA_INLINE float alula_shrinkf(float x, float lambda, float bias) {
    float y = x > lambda ? x - bias : 0.0f;
    y = x < -lambda ? x + bias : y;
    return x == x ? y : x;
}
