#pragma STDC FP_CONTRACT OFF
#include "instruction_set.h"

#if defined(__x86_64__)
#define ALULA_SUFFIX _avx2
#define ALULA_TARGET_HAS_FMA
#define ALULA_LANES 8
#define ALULA_TILE_ROWS 6
ALULA_BEGIN_AVX2
#include "weight_gradient_body.h"
#include "depthwise_gradient_body.h"
ALULA_END_AVX2
#endif
