#pragma STDC FP_CONTRACT OFF
#include "instruction_set.h"

#if defined(__x86_64__)
#define ALULA_SUFFIX _avx512
#define ALULA_TARGET_HAS_FMA
#define ALULA_LANES 16
#define ALULA_TILE_ROWS 12
ALULA_BEGIN_AVX512
#include "weight_gradient_body.h"
#include "depthwise_gradient_body.h"
ALULA_END_AVX512
#endif
