#define _GNU_SOURCE 1
#include "allocation_counter.h"
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif

#if defined(__linux__) && defined(__GLIBC__) && !defined(SANITIZED)

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *memory);

// Initial-exec: the general model may itself allocate on a thread's first access.
static _Thread_local __attribute__((tls_model("initial-exec"))) uint64_t own_count;
static _Thread_local __attribute__((tls_model("initial-exec"))) int kind;  // 0 unknown, 1 pool thread, 2 other
static atomic_uint_least64_t pool_count;

static void count(void) {
    own_count++;
    if (kind == 0) {
        char name[16] = "";
        kind = pthread_getname_np(pthread_self(), name, sizeof name) == 0 && strncmp(name, "alula", 5) == 0 ? 1 : 2;
    }
    if (kind == 1) atomic_fetch_add(&pool_count, 1);
}

void *malloc(size_t size) { count(); return __libc_malloc(size); }
void *calloc(size_t number, size_t size) { count(); return __libc_calloc(number, size); }
void *realloc(void *memory, size_t size) { count(); return __libc_realloc(memory, size); }
void *memalign(size_t alignment, size_t size) { count(); return __libc_memalign(alignment, size); }
void *aligned_alloc(size_t alignment, size_t size) { count(); return __libc_memalign(alignment, size); }
int posix_memalign(void **memory, size_t alignment, size_t size) {
    count();
    *memory = __libc_memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}
void free(void *memory) {
    if (memory) count();
    __libc_free(memory);
}

bool allocation_counter_works(void) { return true; }
uint64_t allocation_count_of_this_thread(void) { return own_count; }
uint64_t allocation_count_of_pool_threads(void) { return atomic_load(&pool_count); }

#else

bool allocation_counter_works(void) { return false; }
uint64_t allocation_count_of_this_thread(void) { return 0; }
uint64_t allocation_count_of_pool_threads(void) { return 0; }

#endif
