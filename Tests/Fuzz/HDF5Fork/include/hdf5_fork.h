#pragma once

#include <stdint.h>
#include <sys/types.h>

/// Loads and starts libhdf5 once, so that forked readers need not.
void prepare_forks(void);

/// A copy of this process that reads `path` and writes records to `output`. -1 and errno where there is none.
pid_t fork_reader(const char *path, uint64_t budget, uint64_t seconds, int output);
