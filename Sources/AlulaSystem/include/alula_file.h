#pragma once

// Files and memory for the core. This header is freestanding; file.c implements it over POSIX, and where there is no
// POSIX every file function returns ALULA_UNSUPPORTED. Functions that return int32_t return 0 or an errno code.

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Codes of Alula's own; no errno code is negative.
enum {
    ALULA_UNSUPPORTED = -1,    ///< The platform has no files.
    ALULA_PATH_HAS_ZERO = -2,  ///< For callers whose strings may hold zero bytes.
};

/// What an error code means, for the codes a caller may want to tell apart.
typedef enum {
    ALULA_ERROR_OTHER = 0,
    ALULA_ERROR_NOT_FOUND,
    ALULA_ERROR_PERMISSION,
    ALULA_ERROR_NO_SPACE,
    ALULA_ERROR_NOT_A_FILE,
    ALULA_ERROR_UNSUPPORTED,
} alula_error_kind;

alula_error_kind alula_error_kind_of(int32_t code);

/// Writes the system's text for `code`, cut to fit and always terminated.
void alula_error_text(int32_t code, char *buffer, size_t capacity);

/// A read-only private mapping of a whole file, followed by at least one page of readable zeros.
typedef struct {
    const void *address;
    size_t size;         ///< Bytes of the file.
    size_t mapped_size;  ///< Bytes of address space, slack included.
} alula_mapping;

/// Maps a regular file. A mapping outlives renaming or deleting the file, but not truncating it.
int32_t alula_map_file(const char *path, alula_mapping *mapping);
void alula_unmap_file(alula_mapping mapping);
/// Gives back the physical memory of a part of a mapping; reading it again reads the file again.
void alula_release_pages(const void *address, size_t size);

/// Memory on a 64-byte boundary, or NULL.
void *alula_allocate(size_t size);
void alula_free(void *memory);

/// A file that appears under its name only when it is complete: bytes go to a new file in the same directory.
typedef struct alula_atomic_file alula_atomic_file;

/// Starts writing. An existing target must be a writable regular file; a link is followed.
int32_t alula_atomic_open(const char *path, alula_atomic_file **file);
int32_t alula_atomic_write(alula_atomic_file *file, const void *bytes, size_t size);
/// Flushes to the disk and renames over the target. On failure the target is as it was. Frees `file` in either case.
int32_t alula_atomic_commit(alula_atomic_file *file);
/// Removes what was written and frees `file`.
void alula_atomic_abort(alula_atomic_file *file);

#ifdef __cplusplus
}
#endif
