#pragma once
static inline int printf(const char *format, ...) { return format[0]; }
