#if defined(__APPLE__)
#define _DARWIN_C_SOURCE 1
#else
#define _GNU_SOURCE 1
#endif

#include "alula_console.h"
#include "alula_file.h"
#include "alula_system.h"

#if __has_include(<unistd.h>) && __has_include(<spawn.h>) && !defined(__wasi__)

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__APPLE__)
#include <mach-o/dyld.h>
#include <sys/resource.h>
#endif

extern char **environ;

int32_t alula_console_write(int32_t stream, const void *bytes, size_t size) {
    const char *next = bytes;
    while (size > 0) {
        const ssize_t written = write(stream, next, size);
        if (written < 0) {
            if (errno == EINTR) continue;
            return errno == EPIPE ? ALULA_CONSOLE_CLOSED : errno;
        }
        next += written;
        size -= (size_t)written;
    }
    return 0;
}

int32_t alula_console_read(size_t limit, void **bytes, size_t *size) {
    size_t capacity = 1 << 16, count = 0;
    char *memory = alula_allocate(capacity);
    if (!memory) return ENOMEM;
    for (;;) {
        if (count == capacity) {
            char *larger = alula_allocate(2 * capacity);
            if (!larger) {
                alula_free(memory);
                return ENOMEM;
            }
            memcpy(larger, memory, count);
            alula_free(memory);
            memory = larger;
            capacity *= 2;
        }
        const ssize_t got = read(0, memory + count, capacity - count);
        if (got == 0) break;
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 || (count += (size_t)got) > limit) {
            const int32_t code = got < 0 ? errno : EFBIG;
            alula_free(memory);
            return code;
        }
    }
    *bytes = memory;
    *size = count;
    return 0;
}

int32_t alula_console_is_terminal(int32_t stream) { return isatty(stream); }

_Noreturn void alula_console_exit(int32_t code) { exit(code); }

static volatile sig_atomic_t noted_signal;

static void note_signal(int signal_number) { noted_signal = signal_number; }

void alula_console_watch_interrupts(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = note_signal;
    // Calls go on, and a second signal does what it always does.
    action.sa_flags = (int)(SA_RESTART | SA_RESETHAND);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    // Whoever started this program may have blocked them.
    sigset_t both;
    sigemptyset(&both);
    sigaddset(&both, SIGINT);
    sigaddset(&both, SIGTERM);
    sigprocmask(SIG_UNBLOCK, &both, NULL);
}

int32_t alula_console_interrupt(void) { return noted_signal; }

size_t alula_peak_resident_bytes(void) {
#if defined(__APPLE__)
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (size_t)usage.ru_maxrss : 0;
#else
    // Not getrusage: its maximum includes what the process was before exec.
    FILE *file = fopen("/proc/self/status", "r");
    if (!file) return 0;
    char line[128];
    unsigned long kibibytes = 0;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "VmHWM: %lu kB", &kibibytes) == 1) break;
    fclose(file);
    return (size_t)kibibytes * 1024;
#endif
}

static int32_t own_path(char *path, size_t capacity) {
#if defined(__APPLE__)
    uint32_t size = (uint32_t)capacity;
    return _NSGetExecutablePath(path, &size) == 0 ? 0 : ENAMETOOLONG;
#else
    const ssize_t length = readlink("/proc/self/exe", path, capacity - 1);
    if (length < 0) return errno;
    path[length] = 0;
    return 0;
#endif
}

/// Reads the first byte, notes the time, and then the rest, as far as there is room.
static int read_output(int stream, uint64_t start, uint64_t *nanoseconds, char *rest, size_t capacity) {
    char first;
    ssize_t got;
    do got = read(stream, &first, 1);
    while (got < 0 && errno == EINTR);
    if (got != 1) return 0;
    *nanoseconds = alula_clock_nanoseconds() - start;
    size_t count = 0;
    for (;;) {
        char ignored;
        const int has_room = count + 1 < capacity;
        got = read(stream, has_room ? rest + count : &ignored, has_room ? capacity - 1 - count : 1);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        if (has_room) count += (size_t)got;
    }
    rest[count] = 0;
    return 1;
}

int32_t alula_time_to_first_byte(const char *const *arguments, uint64_t *nanoseconds, char *rest, size_t capacity) {
    char path[4096];
    int ends[2];
    int32_t code = own_path(path, sizeof path);
    if (code != 0) return code;
    if (pipe(ends) != 0) return errno;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    pid_t child = 0;
    const uint64_t start = alula_clock_nanoseconds();
    code = posix_spawn(&child, path, &actions, NULL, (char *const *)arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (code != 0) {
        close(ends[0]);
        return code;
    }
    const int has_output = read_output(ends[0], start, nanoseconds, rest, capacity);
    close(ends[0]);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    return has_output && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : ALULA_CONSOLE_CLOSED;
}

#else

int32_t alula_console_write(int32_t stream, const void *bytes, size_t size) {
    (void)stream, (void)bytes, (void)size;
    return ALULA_UNSUPPORTED;
}

int32_t alula_console_read(size_t limit, void **bytes, size_t *size) {
    (void)limit, (void)bytes, (void)size;
    return ALULA_UNSUPPORTED;
}

int32_t alula_console_is_terminal(int32_t stream) {
    (void)stream;
    return 0;
}

_Noreturn void alula_console_exit(int32_t code) {
    (void)code;
    for (;;) {}
}

void alula_console_watch_interrupts(void) {}
int32_t alula_console_interrupt(void) { return 0; }

size_t alula_peak_resident_bytes(void) { return 0; }

int32_t alula_time_to_first_byte(const char *const *arguments, uint64_t *nanoseconds, char *rest, size_t capacity) {
    (void)arguments, (void)nanoseconds, (void)rest, (void)capacity;
    return ALULA_UNSUPPORTED;
}

#endif

static int argument_count;
static char **argument_values;

#if defined(__GLIBC__)
__attribute__((constructor)) static void keep_arguments(int count, char **values) {
    argument_count = count;
    argument_values = values;
}
#endif

int32_t alula_argument_count(void) { return argument_count; }

const char *alula_argument(int32_t index) { return index >= 0 && index < argument_count ? argument_values[index] : 0; }
