// The few functions of a C library that the core needs where there is none: memory from one growing heap that is never given back,
// which is enough for a model that is loaded once.
#include <stddef.h>
#include <stdint.h>

extern uint8_t __heap_base[];
static uintptr_t top;

static void *take(size_t alignment, size_t size) {
    if (!top) top = (uintptr_t)__heap_base;
    const uintptr_t start = (top + alignment - 1) & ~(uintptr_t)(alignment - 1);
    const uintptr_t end = start + size;
    if (end < start) return NULL;
    const uintptr_t have = (uintptr_t)__builtin_wasm_memory_size(0) << 16;
    if (end > have && __builtin_wasm_memory_grow(0, (end - have + 0xFFFF) >> 16) == (size_t)-1) return NULL;
    top = end;
    return (void *)start;
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
    *memory = take(alignment < 16 ? 16 : alignment, size);
    return *memory ? 0 : 12;
}

void *malloc(size_t size) { return take(16, size); }
void free(void *memory) { (void)memory; }
void *alula_wasm_allocate(int32_t size) { return take(64, (size_t)size + 64); }

void *memcpy(void *restrict to, const void *restrict from, size_t n) {
    for (size_t i = 0; i < n; i++) ((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
    return to;
}

void *memmove(void *to, const void *from, size_t n) {
    if ((uintptr_t)to < (uintptr_t)from) return memcpy(to, from, n);
    while (n--) ((uint8_t *)to)[n] = ((const uint8_t *)from)[n];
    return to;
}

void *memset(void *to, int value, size_t n) {
    for (size_t i = 0; i < n; i++) ((uint8_t *)to)[i] = (uint8_t)value;
    return to;
}

int memcmp(const void *a, const void *b, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const int difference = ((const uint8_t *)a)[i] - ((const uint8_t *)b)[i];
        if (difference) return difference;
    }
    return 0;
}

size_t strlen(const char *text) {
    size_t n = 0;
    while (text[n]) n++;
    return n;
}

// Seeds of hash tables: nothing that is written depends on their order, so constants do.
void arc4random_buf(void *buffer, size_t n) { memset(buffer, 7, n); }

// The compiler's own checks for overwritten stack frames.
uintptr_t __stack_chk_guard = 0x5A17C0DE;
void __stack_chk_fail(void) { __builtin_trap(); }

// Half away from zero, as in C.
double round(double x) {
    const double down = __builtin_trunc(x);
    return __builtin_fabs(x - down) < 0.5 ? down : down + (x < 0 ? -1 : 1);
}
