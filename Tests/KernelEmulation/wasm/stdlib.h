// Memory for one case at a time: check_wasm.c starts over after each.
#pragma once
#include <stddef.h>
#include <stdint.h>
extern uint8_t heap[];
extern size_t heap_used;
static inline void *aligned_alloc(size_t alignment, size_t size) {
    void *p = heap + (heap_used + alignment - 1) / alignment * alignment;
    heap_used = (size_t)((uint8_t *)p - heap) + size;
    return p;
}
static inline void free(void *p) { (void)p; }
