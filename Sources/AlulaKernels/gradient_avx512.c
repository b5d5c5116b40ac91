#pragma STDC FP_CONTRACT OFF
#include "instruction_set.h"

#if defined(__x86_64__)
#define ALULA_SUFFIX _avx512
#define ALULA_TARGET_HAS_FMA
ALULA_BEGIN_AVX512
#include "gradient_body.h"
ALULA_END_AVX512
#endif
