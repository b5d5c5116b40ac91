#include "alula_kernels.h"
