#pragma STDC FP_CONTRACT OFF
#include "instruction_set.h"

#if defined(__x86_64__)
#define ALULA_SUFFIX _avx2
#define ALULA_TARGET_HAS_FMA
#define ALULA_OWN_POOL_MIXER_U8          // pool_mixer_u8_avx2.c
ALULA_BEGIN_AVX2
#include "pooling_body.h"
ALULA_END_AVX2
#endif
