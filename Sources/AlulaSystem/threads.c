#if !defined(__APPLE__)
#define _GNU_SOURCE 1
#endif

#include "alula_threads.h"
#include "alula_system.h"
#include <stddef.h>

#if __has_include(<pthread.h>) && __has_include(<signal.h>) && !defined(__wasi__)

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { MAXIMUM_THREADS = 64, CACHE_LINE = 64 };

/// A thread that waits longer sleeps, or lets others run in the middle of a run. Waking it costs several times as much as the longest step of a small model takes.
static const uint64_t spin_nanoseconds = 40000;

typedef struct {
    alula_pool *pool;
    pthread_t thread;
    int32_t number;
} worker;

struct alula_pool {
    _Alignas(CACHE_LINE) atomic_uint arrived;     // threads that have reached the current barrier
    _Alignas(CACHE_LINE) atomic_uint generation;  // completed barriers
    _Alignas(CACHE_LINE) atomic_uint run;         // started runs
    _Alignas(CACHE_LINE) atomic_uint sleeping;    // threads in the condition variable, or about to be
    _Alignas(CACHE_LINE) alula_pool_function function;
    void *context;
    bool stopping;
    int32_t threads;
    uint64_t spin;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    worker workers[MAXIMUM_THREADS];
};

static inline void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
    __asm__ volatile("yield");
#endif
}

/// Whether `word` is no longer `old`, after up to the pool's spinning time.
static bool spin_for_change(const alula_pool *pool, atomic_uint *word, unsigned old) {
    const uint64_t start = alula_clock_nanoseconds();
    do {
        for (int attempt = 0; attempt < 64; attempt++) {
            if (atomic_load_explicit(word, memory_order_acquire) != old) return true;
            pause_briefly();
        }
    } while (alula_clock_nanoseconds() - start < pool->spin);
    return false;
}

/// Returns when `word` is no longer `old`.
static void wait_for_change(alula_pool *pool, atomic_uint *word, unsigned old) {
    if (spin_for_change(pool, word, old)) return;
    // Either this thread sees the new word, or the one that changes it sees `sleeping` and wakes it: both orders are
    // sequentially consistent, and the lock closes the gap between the check and the sleep.
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleeping, 1);
    while (atomic_load(word) == old) pthread_cond_wait(&pool->changed, &pool->mutex);
    atomic_fetch_sub(&pool->sleeping, 1);
    pthread_mutex_unlock(&pool->mutex);
}

static void change(alula_pool *pool, atomic_uint *word, unsigned value) {
    atomic_store(word, value);
    if (atomic_load(&pool->sleeping) == 0) return;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->mutex);
}

void alula_pool_barrier(alula_pool *pool) {
    const unsigned generation = atomic_load_explicit(&pool->generation, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&pool->arrived, 1, memory_order_acq_rel) + 1 == (unsigned)pool->threads) {
        atomic_store_explicit(&pool->arrived, 0, memory_order_relaxed);
        change(pool, &pool->generation, generation + 1);
    } else if (pool->spin == 0) {
        wait_for_change(pool, &pool->generation, generation);
    } else if (!spin_for_change(pool, &pool->generation, generation)) {
        // The others are at work, so this will not take long. A thread that sleeps is woken on the core of the one that wakes it, and two threads
        // that take turns at sleeping then share that core for good, while another is idle; two that are ready to run do not.
        while (atomic_load_explicit(&pool->generation, memory_order_acquire) == generation) sched_yield();
    }
}

/// For debuggers and profilers.
static void name_this_thread(void) {
#if defined(__linux__)
    pthread_setname_np(pthread_self(), "alula");
#elif defined(__APPLE__)
    pthread_setname_np("alula");
#endif
}

static void *work(void *argument) {
    const worker *self = argument;
    name_this_thread();
    alula_pool *pool = self->pool;
    for (unsigned run = 0;; run++) {
        wait_for_change(pool, &pool->run, run);
        if (pool->stopping) return NULL;
        pool->function(pool->context, self->number, pool->threads);
        alula_pool_barrier(pool);
    }
}

void alula_pool_run(alula_pool *pool, alula_pool_function function, void *context) {
    pool->function = function;
    pool->context = context;
    change(pool, &pool->run, atomic_load_explicit(&pool->run, memory_order_relaxed) + 1);
    function(context, 0, pool->threads);
    alula_pool_barrier(pool);
}

static void stop(alula_pool *pool, int32_t started) {
    pool->stopping = true;
    change(pool, &pool->run, atomic_load_explicit(&pool->run, memory_order_relaxed) + 1);
    for (int32_t index = 1; index < started; index++) pthread_join(pool->workers[index].thread, NULL);
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

/// Starts workers 1 to `threads - 1`; returns how many threads there are then.
static int32_t start_workers(alula_pool *pool) {
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) return 1;
    pthread_attr_setstacksize(&attributes, (size_t)1 << 20);
    // Signals are the application's affair: its own threads take them.
    sigset_t all, previous;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &previous);
    int32_t started = 1;
    for (; started < pool->threads; started++) {
        worker *next = &pool->workers[started];
        next->pool = pool;
        next->number = started;
        if (pthread_create(&next->thread, &attributes, work, next) != 0) break;
    }
    pthread_sigmask(SIG_SETMASK, &previous, NULL);
    pthread_attr_destroy(&attributes);
    return started;
}

int32_t alula_pool_limit(void) { return MAXIMUM_THREADS; }

alula_pool *alula_pool_create(int32_t threads) {
    if (threads < 2 || threads > MAXIMUM_THREADS) return NULL;
    void *memory = NULL;
    if (posix_memalign(&memory, CACHE_LINE, sizeof(alula_pool)) != 0) return NULL;
    memset(memory, 0, sizeof(alula_pool));
    alula_pool *pool = memory;
    pool->threads = threads;
    // More threads than cores: the one that is waited for needs the core of the one that waits.
    pool->spin = threads <= alula_physical_cores() ? spin_nanoseconds : 0;
    if (pthread_mutex_init(&pool->mutex, NULL) != 0) {
        free(pool);
        return NULL;
    }
    if (pthread_cond_init(&pool->changed, NULL) != 0) {
        pthread_mutex_destroy(&pool->mutex);
        free(pool);
        return NULL;
    }
    const int32_t started = start_workers(pool);
    if (started == threads) return pool;
    stop(pool, started);
    return NULL;
}

void alula_pool_destroy(alula_pool *pool) {
    if (pool) stop(pool, pool->threads);
}

#else

int32_t alula_pool_limit(void) { return 1; }

alula_pool *alula_pool_create(int32_t threads) {
    (void)threads;
    return NULL;
}

void alula_pool_run(alula_pool *pool, alula_pool_function function, void *context) {
    (void)pool;
    function(context, 0, 1);
}

void alula_pool_barrier(alula_pool *pool) { (void)pool; }

void alula_pool_destroy(alula_pool *pool) { (void)pool; }

#endif
