#pragma STDC FP_CONTRACT OFF
#include "instruction_set.h"

#if defined(__x86_64__)
#define ALULA_SUFFIX _avx2
#include "x86.h"
ALULA_BEGIN_AVX2
#include "transpose_u8_avx2.h"
#define ALULA_TRANSPOSE_U8_16X16 alula_transpose_u8_16x16
#include "movement_body.h"
ALULA_END_AVX2
#endif
