#if defined(__APPLE__)
#define _DARWIN_C_SOURCE 1
#else
#define _XOPEN_SOURCE 700
#define _DEFAULT_SOURCE 1
#endif

#include "alula_file.h"

#if __has_include(<unistd.h>) && __has_include(<sys/mman.h>) && !defined(__wasi__)

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

alula_error_kind alula_error_kind_of(int32_t code) {
    switch (code) {
    case ENOENT:
    case ENOTDIR:
    case ALULA_PATH_HAS_ZERO:
        return ALULA_ERROR_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return ALULA_ERROR_PERMISSION;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return ALULA_ERROR_NO_SPACE;
    case EISDIR:
    case ENODEV:
        return ALULA_ERROR_NOT_A_FILE;
    case ENOSYS:
    case ALULA_UNSUPPORTED:
        return ALULA_ERROR_UNSUPPORTED;
    default:
        return ALULA_ERROR_OTHER;
    }
}

void alula_error_text(int32_t code, char *buffer, size_t capacity) {
    if (capacity == 0) return;
    if (code == ALULA_UNSUPPORTED) {
        snprintf(buffer, capacity, "This platform has no files");
    } else if (code == ALULA_PATH_HAS_ZERO) {
        snprintf(buffer, capacity, "The path contains a zero byte");
    } else if (code == ENODEV) {
        snprintf(buffer, capacity, "Not a regular file");
    } else if (strerror_r(code, buffer, capacity) != 0) {
        snprintf(buffer, capacity, "error %d", (int)code);
    }
}

// MARK: Reading

/// Reserves address space for the file and one page more, then maps the file over its front: reading past the end of the
/// file, even past the end of its last page, stays inside the reservation.
static int32_t map_descriptor(int descriptor, off_t file_size, alula_mapping *mapping) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (file_size < 0 || (uintmax_t)file_size > SIZE_MAX / 2) return EOVERFLOW;
    const size_t size = (size_t)file_size;
    const size_t reserved = (size + page - 1) / page * page + page;
    void *address = mmap(NULL, reserved, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED) return errno;
    if (size > 0 && mmap(address, size, PROT_READ, MAP_PRIVATE | MAP_FIXED, descriptor, 0) == MAP_FAILED) {
        const int code = errno;
        munmap(address, reserved);
        return code;
    }
    *mapping = (alula_mapping){.address = address, .size = size, .mapped_size = reserved};
    return 0;
}

/// Regular files only: a directory is EISDIR, a pipe or device ENODEV.
static int32_t check_regular(const struct stat *status) {
    if (S_ISREG(status->st_mode)) return 0;
    return S_ISDIR(status->st_mode) ? EISDIR : ENODEV;
}

int32_t alula_map_file(const char *path, alula_mapping *mapping) {
    // O_NONBLOCK: opening a pipe must not wait for a writer.
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) return errno;
    struct stat status;
    int32_t code = fstat(descriptor, &status) == 0 ? check_regular(&status) : errno;
    if (code == 0) code = map_descriptor(descriptor, status.st_size, mapping);
    close(descriptor);
    return code;
}

void alula_unmap_file(alula_mapping mapping) { munmap((void *)mapping.address, mapping.mapped_size); }

void alula_release_pages(const void *address, size_t size) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = ((uintptr_t)address + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)address + size) / page * page;
    if (begin < end) madvise((void *)begin, end - begin, MADV_DONTNEED);
}

// MARK: Memory

// From here on, memory is asked for in pages of 2 MB where the system gives them on request: training walks over tensors of many megabytes, and
// the address of nearly every row would have to be looked up.
enum { LARGE = 8 << 20, LARGE_PAGE = 2 << 20 };

void *alula_allocate(size_t size) {
    void *memory = NULL;
    if (posix_memalign(&memory, size >= LARGE ? LARGE_PAGE : 64, size) != 0) return NULL;
#ifdef MADV_HUGEPAGE
    if (size >= LARGE) madvise(memory, size, MADV_HUGEPAGE);
#endif
    return memory;
}

void alula_free(void *memory) { free(memory); }

// MARK: Writing

struct alula_atomic_file {
    char *target;
    char *temporary;
    int descriptor;
};

static void destroy(alula_atomic_file *file) {
    free(file->target);
    free(file->temporary);
    free(file);
}

/// Follows links and refuses a target that exists but must not be replaced. Sets `mode` to the target's, or to -1.
static int32_t resolve_target(const char *path, char **target, int *mode) {
    struct stat status;
    *target = NULL;
    *mode = -1;
    if (stat(path, &status) == 0) {
        const int32_t code = check_regular(&status);
        if (code != 0) return code;
        if (access(path, W_OK) != 0) return errno;
        *mode = (int)(status.st_mode & 0777);
        *target = realpath(path, NULL);
        return *target ? 0 : errno;
    }
    if (errno != ENOENT) return errno;
    const size_t length = strlen(path);
    if (length == 0) return ENOENT;
    if (path[length - 1] == '/') return EISDIR;
    if (lstat(path, &status) == 0) return ENOENT;  // A link to nothing: where to write is not known.
    *target = strdup(path);
    return *target ? 0 : ENOMEM;
}

/// Creates `.alula-<process>-<number>.tmp` beside the target.
static int32_t create_temporary(alula_atomic_file *file) {
    static atomic_uint next_number;
    const char *slash = strrchr(file->target, '/');
    const size_t directory = slash ? (size_t)(slash - file->target) + 1 : 0;
    const size_t capacity = directory + 64;
    file->temporary = malloc(capacity);
    if (!file->temporary) return ENOMEM;
    memcpy(file->temporary, file->target, directory);
    for (int attempt = 0; attempt < 1000; attempt++) {
        const unsigned number = atomic_fetch_add(&next_number, 1);
        snprintf(file->temporary + directory, capacity - directory, ".alula-%ld-%u.tmp", (long)getpid(), number);
        file->descriptor = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file->descriptor >= 0) return 0;
        if (errno != EEXIST) return errno;
    }
    return EEXIST;
}

int32_t alula_atomic_open(const char *path, alula_atomic_file **result) {
    alula_atomic_file *file = calloc(1, sizeof *file);
    if (!file) return ENOMEM;
    file->descriptor = -1;
    int mode;
    int32_t code = resolve_target(path, &file->target, &mode);
    if (code == 0) code = create_temporary(file);
    if (code != 0) {
        destroy(file);
        return code;
    }
    if (mode >= 0 && fchmod(file->descriptor, (mode_t)mode) != 0) {
        code = errno;
        alula_atomic_abort(file);
        return code;
    }
    *result = file;
    return 0;
}

int32_t alula_atomic_write(alula_atomic_file *file, const void *bytes, size_t size) {
    // Linux transfers at most 0x7ffff000 bytes a call, and Darwin refuses more than INT_MAX.
    static const size_t most = (size_t)1 << 30;
    const char *next = bytes;
    while (size > 0) {
        const ssize_t written = write(file->descriptor, next, size < most ? size : most);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return errno;
        if (written == 0) return EIO;
        next += written;
        size -= (size_t)written;
    }
    return 0;
}

/// A rename is on the disk only when its directory is. Some file systems cannot do this; the file is complete either way.
static void sync_directory(const char *target) {
    const char *slash = strrchr(target, '/');
    char *directory = slash ? strndup(target, (size_t)(slash - target) + 1) : strdup(".");
    if (!directory) return;
    const int descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(directory);
    if (descriptor < 0) return;
    fsync(descriptor);
    close(descriptor);
}

int32_t alula_atomic_commit(alula_atomic_file *file) {
    int32_t code = fsync(file->descriptor) == 0 ? 0 : errno;
    if (close(file->descriptor) != 0 && code == 0) code = errno;
    file->descriptor = -1;
    if (code == 0 && rename(file->temporary, file->target) != 0) code = errno;
    if (code != 0) {
        alula_atomic_abort(file);
        return code;
    }
    sync_directory(file->target);
    destroy(file);
    return 0;
}

void alula_atomic_abort(alula_atomic_file *file) {
    if (file->descriptor >= 0) close(file->descriptor);
    unlink(file->temporary);
    destroy(file);
}

#else

// Embedded Swift itself asks its platform for these two.
extern int posix_memalign(void **memory, size_t alignment, size_t size);
extern void free(void *memory);

alula_error_kind alula_error_kind_of(int32_t code) {
    return code == ALULA_UNSUPPORTED ? ALULA_ERROR_UNSUPPORTED : ALULA_ERROR_OTHER;
}

void alula_error_text(int32_t code, char *buffer, size_t capacity) {
    (void)code;
    static const char text[] = "This platform has no files";
    if (capacity == 0) return;
    size_t length = 0;
    for (; length + 1 < capacity && text[length]; length++) buffer[length] = text[length];
    buffer[length] = 0;
}

int32_t alula_map_file(const char *path, alula_mapping *mapping) {
    (void)path, (void)mapping;
    return ALULA_UNSUPPORTED;
}

void alula_unmap_file(alula_mapping mapping) { (void)mapping; }

void alula_release_pages(const void *address, size_t size) {
    (void)address;
    (void)size;
}

void *alula_allocate(size_t size) {
    void *memory = NULL;
    return posix_memalign(&memory, 64, size) == 0 ? memory : NULL;
}

void alula_free(void *memory) { free(memory); }

int32_t alula_atomic_open(const char *path, alula_atomic_file **file) {
    (void)path, (void)file;
    return ALULA_UNSUPPORTED;
}

int32_t alula_atomic_write(alula_atomic_file *file, const void *bytes, size_t size) {
    (void)file, (void)bytes, (void)size;
    return ALULA_UNSUPPORTED;
}

int32_t alula_atomic_commit(alula_atomic_file *file) {
    (void)file;
    return ALULA_UNSUPPORTED;
}

void alula_atomic_abort(alula_atomic_file *file) { (void)file; }

#endif
