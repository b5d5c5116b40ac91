// Vectors of the compiler's own for kernels over rows of c floats: loops over columns that leave few of them to scalar code (of 36 channels, four
// would take longer than the other 32), and sums along several rows at once. Included where the instruction set is chosen already.
#pragma once
#include "instruction_set.h"

typedef float alula_four __attribute__((vector_size(16), aligned(4)));
typedef float alula_eight __attribute__((vector_size(32), aligned(4)));
typedef float alula_sixteen __attribute__((vector_size(64), aligned(4)));
typedef int32_t alula_eight_i32 __attribute__((vector_size(32)));
// How a target without such registers passes them does not matter to functions that are always inlined.
#pragma clang diagnostic ignored "-Wpsabi"
#define ALULA_UNROLL_ROWS _Pragma("clang loop unroll(full)")
#define ALULA_EACH_ROW _Pragma("clang loop vectorize(disable)")
#define ALULA_FEW _Pragma("clang loop vectorize(disable) unroll(disable)")

// Runs the statements for i = 0, 16, ... with V a vector of sixteen floats, then with smaller V for the rest of c columns.
#define ALULA_COLUMNS(c, ...)                                                        \
    {                                                                                \
        size_t i = 0;                                                                \
        for (; i + 16 <= (c); i += 16) { typedef alula_sixteen V; __VA_ARGS__ }      \
        ALULA_FEW for (; i + 4 <= (c); i += 4) { typedef alula_four V; __VA_ARGS__ } \
        ALULA_FEW for (; i < (c); i++) { typedef float V; __VA_ARGS__ }              \
    }
#define ALULA_AT(pointer) (*(V *)((pointer) + i))
#define ALULA_IN(pointer) (*(const V *)((pointer) + i))

// Runs the statements for i = 0, 8, ..., n = 8, and where c is no multiple of 8 for the rest, n < 8.
#define ALULA_EIGHTS(c, ...)                                                         \
    {                                                                                \
        size_t i = 0;                                                                \
        for (; i + 8 <= (c); i += 8) { const size_t n = 8; __VA_ARGS__ }             \
        if (i < (c)) { const size_t n = (c) - i; __VA_ARGS__ }                       \
    }

// The first n <= 8 floats, then zeros; nothing behind them is read.
ALULA_INLINE alula_eight alula_first_floats(const float *x, size_t n) {
    if (n >= 8) return *(const alula_eight *)x;
    alula_four low = {0}, rest = {0};
    if (n == 4) return __builtin_shufflevector(*(const alula_four *)x, rest, 0, 1, 2, 3, 4, 5, 6, 7);    // nearly all sizes
    if (n & 4) {
        low = *(const alula_four *)x;
        x += 4;
    }
    if (n & 3) rest = (alula_four){x[0], (n & 3) > 1 ? x[1] : 0.0f, (n & 3) > 2 ? x[2] : 0.0f, 0.0f};
    return n & 4 ? __builtin_shufflevector(low, rest, 0, 1, 2, 3, 4, 5, 6, 7) : __builtin_shufflevector(rest, low, 0, 1, 2, 3, 4, 5, 6, 7);
}

// x with the lanes from n up set to 0.
ALULA_INLINE alula_eight alula_only_first(alula_eight x, size_t n) {
    if (n >= 8) return x;
    const alula_eight_i32 place = {0, 1, 2, 3, 4, 5, 6, 7};
    union { alula_eight f; alula_eight_i32 i; } bits = {x};
    bits.i &= place < (int32_t)n;
    return bits.f;
}

// Of each of four vectors the sum ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7)).
ALULA_INLINE alula_four alula_sums_of_lanes(const alula_eight s[4]) {
#define ALULA_PAIRS(a, b) \
    (__builtin_shufflevector(a, b, 0, 2, 8, 10, 4, 6, 12, 14) + __builtin_shufflevector(a, b, 1, 3, 9, 11, 5, 7, 13, 15))
    const alula_eight first = ALULA_PAIRS(s[0], s[1]), second = ALULA_PAIRS(s[2], s[3]);
    const alula_eight halves = ALULA_PAIRS(first, second);
#undef ALULA_PAIRS
    return __builtin_shufflevector(halves, halves, 0, 1, 2, 3) + __builtin_shufflevector(halves, halves, 4, 5, 6, 7);
}

ALULA_INLINE void alula_store_sums(const alula_eight s[4], float *to, const size_t rows) {
    const alula_four sums = alula_sums_of_lanes(s);
    ALULA_UNROLL_ROWS for (size_t l = 0; l < rows; l++) to[l] = sums[l];
}

// How many rows to take each step for, a multiple of 4: enough to hide what each of them waits for, few enough to stay in the first-level cache.
enum { ALULA_ROWS_AT_ONCE = 32 };
ALULA_INLINE size_t alula_rows_at_once(size_t c) {
    const size_t fit = 4096 / c / 4 * 4;
    return fit < 4 ? 4 : alula_min_size(fit, ALULA_ROWS_AT_ONCE);
}

// A step for four rows or for one. Not inlined: all steps together would leave no registers for addresses.
#define ALULA_STEP static __attribute__((noinline)) void
