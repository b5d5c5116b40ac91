// Microseconds of a barrier of the thread pool: barriers THREADS. Compile from the project's root with
//   clang -O2 -ISources/AlulaSystem/include benchmarks/kernels/barriers.c Sources/AlulaSystem/*.c -lpthread -o barriers
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "alula_threads.h"

enum { BARRIERS = 200000, ROUNDS = 7 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static void meet(void *context, int32_t thread, int32_t threads) {
    (void)thread, (void)threads;
    for (int i = 0; i < BARRIERS; i++) alula_pool_barrier(context);
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    const int threads = argc > 1 ? atoi(argv[1]) : 2;
    alula_pool *pool = alula_pool_create(threads);
    if (!pool) return fprintf(stderr, "no pool of %d threads\n", threads), 1;
    double rounds[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        const double start = now();
        alula_pool_run(pool, meet, pool);
        rounds[i] = (now() - start) / BARRIERS;
    }
    qsort(rounds, ROUNDS, sizeof *rounds, ascending);
    printf("%d threads: %.3f us a barrier, median of %d rounds of %d; least %.3f, most %.3f\n", threads, rounds[ROUNDS / 2], ROUNDS, BARRIERS,
           rounds[0], rounds[ROUNDS - 1]);
    alula_pool_destroy(pool);
}
