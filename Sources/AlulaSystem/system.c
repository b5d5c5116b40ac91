#include "alula_system.h"
