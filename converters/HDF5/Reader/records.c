#include "records.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned char buffer[1 << 16];
static size_t used;

static void send_bytes(const unsigned char *bytes, size_t count) {
    while (count > 0) {
        const ssize_t written = write(1, bytes, count);
        if (written < 0 && errno == EINTR) continue;
        // Nobody reads any more.
        if (written <= 0) _Exit(1);
        bytes += written;
        count -= (size_t)written;
    }
}

void flush_records(void) {
    send_bytes(buffer, used);
    used = 0;
}

void put_bytes(const void *bytes, size_t count) {
    if (count > sizeof buffer - used) flush_records();
    if (count > sizeof buffer) {
        send_bytes(bytes, count);
    } else if (count > 0) {
        memcpy(buffer + used, bytes, count);
        used += count;
    }
}

void put_number(uint64_t value, int width) {
    unsigned char bytes[8];
    for (int i = 0; i < width; i++) bytes[i] = (unsigned char)(value >> (8 * i));
    put_bytes(bytes, (size_t)width);
}

void put_text(const char *text, size_t count) {
    put_number(count, 4);
    put_bytes(text, count);
}

void start_records(void) { put_bytes(RECORDS_MAGIC, sizeof RECORDS_MAGIC - 1); }

_Noreturn void fail(const char *path, const char *format, ...) {
    char problem[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem, sizeof problem, format, arguments);
    va_end(arguments);
    put_number(RECORD_FAILURE, 1);
    put_text(path, strlen(path));
    put_text(problem, strlen(problem));
    flush_records();
    _Exit(1);
}
