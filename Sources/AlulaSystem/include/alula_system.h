#pragma once

// The clock, the environment and the machine's cores. Freestanding builds answer with constants.

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Nanoseconds of a clock that never goes back; 0 without a clock.
uint64_t alula_clock_nanoseconds(void);
/// Nanoseconds of CPU time that all threads of this process have had; 0 without such a clock.
uint64_t alula_cpu_nanoseconds(void);

/// The value of an environment variable, or NULL. The text belongs to the environment.
const char *alula_environment(const char *name);

/// Physical cores that this process may use: its affinity, and the CPU quota of its control group, count. At least 1.
int32_t alula_physical_cores(void);

#ifdef __cplusplus
}
#endif
