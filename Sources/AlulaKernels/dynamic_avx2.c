#pragma STDC FP_CONTRACT OFF
#include "instruction_set.h"

#if defined(__x86_64__)
#define ALULA_SUFFIX _avx2
ALULA_BEGIN_AVX2
#include "dynamic_body.h"
ALULA_END_AVX2
#endif
