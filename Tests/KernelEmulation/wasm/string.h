#pragma once
#include <stddef.h>
void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memset(void *to, int value, size_t n);
int memcmp(const void *a, const void *b, size_t n);
static inline char *strstr(const char *text, const char *part) { return part[0] ? 0 : (char *)text; }
