#pragma STDC FP_CONTRACT OFF
#include "instruction_set.h"

#define ALULA_SUFFIX _scalar
#include "dynamic_body.h"
