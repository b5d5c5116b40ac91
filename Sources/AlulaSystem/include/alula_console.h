#pragma once

// Standard streams, and what programs ask about themselves. Where the platform has none of it, the functions return ALULA_UNSUPPORTED or 0.

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// The reader of a stream went away.
enum { ALULA_CONSOLE_CLOSED = -3 };

/// Writes all bytes to stream 1 (output) or 2 (error). Returns 0, ALULA_CONSOLE_CLOSED or an errno code.
int32_t alula_console_write(int32_t stream, const void *bytes, size_t size);

/// Reads standard input up to its end into memory that `alula_free` frees; more than `limit` bytes are an error (EFBIG).
int32_t alula_console_read(size_t limit, void **bytes, size_t *size);

int32_t alula_console_is_terminal(int32_t stream);

_Noreturn void alula_console_exit(int32_t code);

/// From now on SIGINT and SIGTERM do not end the program at once: the first one is noted, a second one of the same kind ends it.
void alula_console_watch_interrupts(void);
/// The number of the signal that was noted; 0 if there was none.
int32_t alula_console_interrupt(void);

/// The program's arguments, its own name first. Known where the C library hands them to constructors (glibc); 0 and NULL elsewhere.
int32_t alula_argument_count(void);
const char *alula_argument(int32_t index);

/// The most physical memory that this process has used, in bytes; 0 if unknown.
size_t alula_peak_resident_bytes(void);

/// Runs this program again with `arguments` (the first being its name, NULL after the last) and gives the nanoseconds from before its
/// start to the first byte that it writes to standard output. The text behind that byte is copied into `rest`, always terminated.
/// Returns 0, an errno code, or ALULA_CONSOLE_CLOSED when it ended without a byte or unsuccessfully.
int32_t alula_time_to_first_byte(const char *const *arguments, uint64_t *nanoseconds, char *rest, size_t capacity);

#ifdef __cplusplus
}
#endif
