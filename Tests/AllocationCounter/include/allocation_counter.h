#pragma once

// Counts calls of the C allocator by standing in for it (glibc only): whatever Swift, C or the system libraries allocate is seen.

#include <stdbool.h>
#include <stdint.h>

/// Whether this platform and build let the counter stand in: not with sanitizers, which bring their own allocator.
bool allocation_counter_works(void);

/// Allocations and releases that the calling thread has made.
uint64_t allocation_count_of_this_thread(void);

/// The same for all threads whose name begins with "alula": those of the runtime's pools.
uint64_t allocation_count_of_pool_threads(void);
