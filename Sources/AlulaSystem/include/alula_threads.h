#pragma once

// A pool of threads that run one function together and meet at barriers. A waiting thread spins for some microseconds,
// then sleeps, so that barriers in a run are short and a pool between runs costs nothing.

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct alula_pool alula_pool;

/// What every thread of the pool calls: `thread` counts from 0 to `threads - 1`.
typedef void (*alula_pool_function)(void *context, int32_t thread, int32_t threads);

/// The most threads that a pool may have; 1 where the platform has no threads.
int32_t alula_pool_limit(void);

/// A pool of `threads` threads, the caller's among them: `threads - 1` are started. NULL if they cannot be, or if
/// `threads` is below 2.
alula_pool *alula_pool_create(int32_t threads);

/// Runs `function` on all threads, the calling thread being number 0, and returns when all have finished. One caller at
/// a time.
void alula_pool_run(alula_pool *pool, alula_pool_function function, void *context);

/// To be called by all threads inside of a run: returns when all have arrived.
void alula_pool_barrier(alula_pool *pool);

/// Ends the threads and frees the pool. NULL is allowed.
void alula_pool_destroy(alula_pool *pool);

#ifdef __cplusplus
}
#endif
