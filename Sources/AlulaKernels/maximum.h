// The largest element of an f32 vector, without a library call and in eight lanes.
#pragma once
#include "instruction_set.h"

// The largest of x[0..<n], n >= 1. The order does not matter to a maximum (but for the sign of zero, which no caller sees).
ALULA_INLINE float alula_largest(const float *x, size_t n) {
    float lanes[8], m = x[0];
    size_t whole = n / 8 * 8;
    if (whole > 0) {
        for (size_t l = 0; l < 8; l++) lanes[l] = x[l];
        for (size_t i = 8; i < whole; i += 8) {
            for (size_t l = 0; l < 8; l++) lanes[l] = x[i + l] > lanes[l] ? x[i + l] : lanes[l];
        }
        for (size_t l = 0; l < 8; l++) m = lanes[l] > m ? lanes[l] : m;
    }
    for (size_t i = whole; i < n; i++) m = x[i] > m ? x[i] : m;
    return m;
}
