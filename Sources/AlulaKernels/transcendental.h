// Trigonometric and hyperbolic functions in f32. Each is worked out in double with a relative error below 1e-9 and rounded once, so results are
// within 0.51 ulp; branch-free, so that loops over them vectorise. ElementwiseKernelTests asserts the errors.
#pragma once
#include "power.h"

#define ALULA_PI_OVER_2 1.5707963267948966

ALULA_INLINE double alula_sqrt_double(double x) { return __builtin_elementwise_sqrt(x); }

// ---- Sine, cosine, tangent ----------------------------------------------------------------------------------------------------------

// x = quadrant * pi / 2 + rest, |rest| <= pi / 4. pi / 2 in three parts, the first two of 33 bits, whose products with fewer than 2^20 quadrants
// are exact: accurate for |x| up to 1e6. Beyond, digits are lost one by one, until none is right at 1e12. NaN for infinities.
typedef struct { double rest; uint64_t quadrant; } alula_angle;

ALULA_INLINE alula_angle alula_reduce_angle(float x) {
    double shifted = (double)x * 0.6366197723675814 + 6755399441055744.0;   // x * 2 / pi, rounded
    double n = shifted - 6755399441055744.0;
    double rest = (((double)x - n * 1.57079632673412561417e+00) - n * 6.07710050630396597660e-11) - n * 2.02226624879595063154e-21;
    // Far beyond the range the difference is anything; it stays an angle.
    rest = rest > 1.0 ? 1.0 : rest;
    rest = rest < -1.0 ? -1.0 : rest;
    return (alula_angle){rest, alula_bits_of_f64(shifted)};
}

// Taylor's series, |x| <= pi / 4: error below 1e-13.
ALULA_INLINE double alula_sin_small(double x) {
    double z = x * x, p = 1.0 / 6227020800.0;
    p = p * z - 1.0 / 39916800.0;
    p = p * z + 1.0 / 362880.0;
    p = p * z - 1.0 / 5040.0;
    p = p * z + 1.0 / 120.0;
    p = p * z - 1.0 / 6.0;
    return x + x * (z * p);
}
ALULA_INLINE double alula_cos_small(double x) {
    double z = x * x, p = -1.0 / 87178291200.0;
    p = p * z + 1.0 / 479001600.0;
    p = p * z - 1.0 / 3628800.0;
    p = p * z + 1.0 / 40320.0;
    p = p * z - 1.0 / 720.0;
    p = p * z + 1.0 / 24.0;
    p = p * z - 0.5;
    return p * z + 1.0;
}

ALULA_INLINE float alula_sin_of_quadrant(alula_angle a, uint64_t quadrant) {
    double y = quadrant & 1 ? alula_cos_small(a.rest) : alula_sin_small(a.rest);
    return (float)(quadrant & 2 ? -y : y);
}
ALULA_INLINE float alula_sinf(float x) {
    alula_angle a = alula_reduce_angle(x);
    return x == 0.0f ? x : alula_sin_of_quadrant(a, a.quadrant);
}
ALULA_INLINE float alula_cosf(float x) {
    alula_angle a = alula_reduce_angle(x);
    return alula_sin_of_quadrant(a, a.quadrant + 1);
}
ALULA_INLINE float alula_tanf_trigonometric(float x) {
    alula_angle a = alula_reduce_angle(x);
    double s = alula_sin_small(a.rest), c = alula_cos_small(a.rest);
    return x == 0.0f ? x : (float)(a.quadrant & 1 ? -c / s : s / c);
}

// ---- Their inverses -------------------------------------------------------------------------------------------------------------------

// atan(x): 1 / x from 1 up, then (x - 1) / (x + 1) above tan(pi / 8), then Taylor's series up to x^23.
ALULA_INLINE double alula_atan_double(double x) {
    double size = x < 0.0 ? -x : x;
    bool large = size > 1.0;
    double t = large ? 1.0 / size : size;
    bool middle = t > 0.41421356237309503;
    double u = middle ? (t - 1.0) / (t + 1.0) : t, z = u * u;
    double p = -1.0 / 23.0;
    p = p * z + 1.0 / 21.0;
    p = p * z - 1.0 / 19.0;
    p = p * z + 1.0 / 17.0;
    p = p * z - 1.0 / 15.0;
    p = p * z + 1.0 / 13.0;
    p = p * z - 1.0 / 11.0;
    p = p * z + 1.0 / 9.0;
    p = p * z - 1.0 / 7.0;
    p = p * z + 1.0 / 5.0;
    p = p * z - 1.0 / 3.0;
    double y = u + u * (z * p);
    y = middle ? y + 0.5 * ALULA_PI_OVER_2 : y;
    y = large ? ALULA_PI_OVER_2 - y : y;
    return x < 0.0 ? -y : y;
}
ALULA_INLINE float alula_atanf(float x) { return x == 0.0f ? x : (float)alula_atan_double((double)x); }
// asin(x) = atan(x / sqrt(1 - x^2)), whose square is exact; NaN outside of -1...1.
ALULA_INLINE double alula_asin_double(float x) { return alula_atan_double((double)x / alula_sqrt_double(1.0 - (double)x * (double)x)); }
ALULA_INLINE float alula_asinf(float x) { return x == 0.0f ? x : (float)alula_asin_double(x); }
ALULA_INLINE float alula_acosf(float x) { return (float)(ALULA_PI_OVER_2 - alula_asin_double(x)); }

// ---- Exponentials and logarithms ------------------------------------------------------------------------------------------------------

// exp(x) - 1; the series where the difference would lose digits. x is cut where the result is infinite or -1 in f32.
ALULA_INLINE double alula_expm1_double(double x) {
    double bounded = x > 100.0 ? 100.0 : x;
    bounded = bounded < -100.0 ? -100.0 : bounded;
    double far = alula_exp2_double(bounded * 1.4426950408889634) - 1.0;
    return ((x < 1e-3) & (x > -1e-3)) ? x + (x * x) * (0.5 + x * (1.0 / 6.0 + x * (1.0 / 24.0))) : far;
}
// scale * x where positive, else scale * alpha * (exp(input_scale * x) - 1).
ALULA_INLINE float alula_eluf(float x, float alpha, float scale, float input_scale) {
    double negative = (double)scale * (double)alpha * alula_expm1_double((double)x * (double)input_scale);
    return x < 0.0f ? (float)negative : scale * x;
}

ALULA_INLINE float alula_sinhf(float x) {
    double wide = (double)x, bounded = wide > 100.0 ? 100.0 : wide;
    bounded = bounded < -100.0 ? -100.0 : bounded;
    double e = alula_exp2_double(bounded * 1.4426950408889634), z = wide * wide;
    double near = wide + wide * (z * (1.0 / 6.0 + z * (1.0 / 120.0 + z * (1.0 / 5040.0))));
    return alula_absf(x) < 0.25f ? (float)near : (float)(0.5 * (e - 1.0 / e));
}
ALULA_INLINE float alula_coshf(float x) {
    double size = (double)alula_absf(x), e = alula_exp2_double((size > 100.0 ? 100.0 : size) * 1.4426950408889634);
    return (float)(0.5 * (e + 1.0 / e));
}

// log(1 + x) for x >= 0.
ALULA_INLINE double alula_log1p_double(double x) {
    double far = alula_log2_positive(1.0 + x) * 0.6931471805599453;
    return x < 1e-4 ? x - x * x * (0.5 - x * (1.0 / 3.0)) : far;
}
// max(x, 0) + log(1 + exp(-|x|)).
ALULA_INLINE float alula_softplusf(float x) {
    double size = (double)alula_absf(x);
    double e = alula_exp2_double((size > 200.0 ? 200.0 : size) * -1.4426950408889634);
    return (float)((x > 0.0f ? (double)x : x == x ? 0.0 : (double)x) + alula_log1p_double(e));
}
ALULA_INLINE float alula_asinhf(float x) {
    double size = (double)alula_absf(x), square = size * size;
    // log(x + sqrt(x^2 + 1)), with 1 taken out of the argument.
    double y = alula_log1p_double(size + square / (1.0 + alula_sqrt_double(square + 1.0)));
    return size < (double)__builtin_inff() ? alula_copysignf((float)y, x) : x;
}
ALULA_INLINE float alula_acoshf(float x) {
    double above = (double)x - 1.0, y = alula_log1p_double(above + alula_sqrt_double(above * ((double)x + 1.0)));
    y = x >= 1.0f ? y : (double)__builtin_nanf("");
    return x == __builtin_inff() ? x : (float)y;
}
ALULA_INLINE float alula_atanhf(float x) {
    double size = (double)alula_absf(x);
    double y = 0.5 * alula_log1p_double(2.0 * size / (1.0 - size));
    y = size == 1.0 ? (double)__builtin_inff() : y;
    y = size <= 1.0 ? y : (double)__builtin_nanf("");
    return alula_copysignf((float)y, x);
}

// ---- Remainders -----------------------------------------------------------------------------------------------------------------------

// x - trunc(x / y) * y, exactly, with the sign of x: long division of the significands, as C's fmod.
ALULA_INLINE float alula_fmodf(float x, float y) {
    float divisor = alula_absf(y), rest = alula_absf(x);
    if (!(divisor > 0.0f) || !(rest < __builtin_inff())) return __builtin_nanf("");
    if (divisor == __builtin_inff()) return x;
    // Multiples of y by powers of 2; doubling is exact in double, and so is every difference.
    double left = (double)rest, step = (double)divisor;
    while (step * 2.0 <= left) step *= 2.0;
    for (; step >= (double)divisor; step *= 0.5) left = left >= step ? left - step : left;
    return alula_copysignf((float)left, x);
}
// The same with the sign of y.
ALULA_INLINE float alula_modf(float x, float y) {
    float rest = alula_fmodf(x, y);
    return rest != 0.0f ? ((rest < 0.0f) != (y < 0.0f) ? rest + y : rest) : alula_copysignf(rest, y);
}
