// From f32 to u8 (and back to the integers that are exact in f32), without a library call and without an instruction beyond the base set.
#pragma once
#include "instruction_set.h"

ALULA_INLINE float alula_f32_from_bits(uint32_t bits) {
    union { uint32_t bits; float value; } pun = {.bits = bits};
    return pun.value;
}

ALULA_INLINE uint32_t alula_bits_of_f32(float value) {
    union { float value; uint32_t bits; } pun = {.value = value};
    return pun.bits;
}

// Round to nearest, ties to even, for |t| < 2^22: the sum with 1.5 * 2^23 has a last place of one.
ALULA_INLINE int32_t alula_rne_small(float t) {
    return (int32_t)(alula_bits_of_f32(t + 12582912.0f) - 0x4B400000u);
}

// quantize() of the contract with 0 <= low <= high <= 255 and 0 <= zero <= 255. The bounds are integers, so clamping before rounding gives
// the same value as after it, and keeps any t (infinite too) within reach of alula_rne_small. NaN gives low.
ALULA_INLINE uint8_t alula_requantize(float t, int32_t zero, int32_t low, int32_t high) {
    float floor = (float)(low - zero), ceiling = (float)(high - zero);
    t = t > floor ? t : floor;
    t = t < ceiling ? t : ceiling;
    return (uint8_t)(alula_rne_small(t) + zero);
}
