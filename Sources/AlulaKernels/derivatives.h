// Derivatives of the unary functions. Those that step or kink have the slope of one side there.
#pragma once
#include "math_body.h"
#include "transcendental.h"

// Φ(x) + x φ(x): h(z) = Φ(-z) - z φ(z) of z = |x| below 0, 1 - h above. h is (0.7518 - z) times a positive function whose fourth root is a
// polynomial (see alula_geluf; with an eighth root the error, mostly of rounding, is twice as large). Absolute error <= 2.6e-7.
ALULA_INLINE float alula_gelu_slope(float x) {
    float z = alula_absf(x);
    z = z > 6.0f ? 6.0f : z;                                 // there, h is -4e-8
    float p = alula_fma(7.615870600830021e-08f, z, -1.5857931430218741e-06f);
    p = alula_fma(p, z, 9.267141649615951e-06f);
    p = alula_fma(p, z, 2.0551777197397314e-05f);
    p = alula_fma(p, z, -0.0003405306488275528f);
    p = alula_fma(p, z, 2.489159487595316e-05f);
    p = alula_fma(p, z, 0.006868491414934397f);
    p = alula_fma(p, z, -0.0027614461723715067f);
    p = alula_fma(p, z, -0.08575612306594849f);
    p = alula_fma(p, z, -0.059964463114738464f);
    p = alula_fma(p, z, 0.903063178062439f);
    p = p * p;
    float h = (0.751791537f - z) * (p * p);
    return x > 0.0f ? 1.0f - h : h;
}

// s + u' x s (1 - s) for x * s, s = sigmoid(u(x)).
ALULA_INLINE float alula_gated_slope(float x, float u, float slope) {
    float s = alula_sigmoidf(u);
    return s + (slope * x) * (s * (1.0f - s));
}

ALULA_INLINE float alula_gelu_tanh_slope(float x) {
    float square = x * x;
    return alula_gated_slope(x, 1.59576912f * (x + 0.044715f * (square * x)), 1.59576912f * (1.0f + 0.134145f * square));
}

ALULA_INLINE float alula_sigmoid_slope(float x) {
    float s = alula_sigmoidf(x);
    return s * (1.0f - s);
}

ALULA_INLINE float alula_tanh_slope(float x) {
    float t = alula_tanhf(x);
    return 1.0f - t * t;
}

// tanh(p) + x (1 - tanh(p)²) sigmoid(x), p = softplus(x).
ALULA_INLINE float alula_mish_slope(float x) {
    float e = alula_expf(x > 20.0f ? 20.0f : x), q = e * e + 2.0f * e, t = q / (q + 2.0f);
    return t + (x * (1.0f - t * t)) * alula_sigmoidf(x);
}

ALULA_INLINE float alula_tan_slope(float x) {
    float c = alula_cosf(x);
    return 1.0f / (c * c);
}

ALULA_INLINE float alula_softsign_slope(float x) {
    float d = 1.0f + alula_absf(x);
    return 1.0f / (d * d);
}

ALULA_INLINE float alula_within(float x, float low, float high, float slope) { return ((x > low) & (x < high)) ? slope : 0.0f; }

ALULA_INLINE float alula_hard_swish_slope(float x) {
    float y = (2.0f * x + 3.0f) / 6.0f;
    y = x <= -3.0f ? 0.0f : y;
    return x >= 3.0f ? 1.0f : y;
}

ALULA_INLINE float alula_elu_slope(float x, float alpha, float scale, float input_scale) {
    float below = ((scale * alpha) * input_scale) * alula_expf(input_scale * (x > 0.0f ? 0.0f : x));
    return x > 0.0f ? scale : below;
}
