#pragma STDC FP_CONTRACT OFF
#include "instruction_set.h"

#define ALULA_SUFFIX _scalar
#include "reduction_body.h"
