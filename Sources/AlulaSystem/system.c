#if defined(__APPLE__)
#define _DARWIN_C_SOURCE 1
#else
#define _GNU_SOURCE 1
#endif

#include "alula_system.h"
#include <stddef.h>

#if __has_include(<unistd.h>) && __has_include(<time.h>) && !defined(__wasi__)

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static uint64_t nanoseconds(clockid_t clock) {
    struct timespec now;
    if (clock_gettime(clock, &now) != 0) return 0;
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t alula_clock_nanoseconds(void) { return nanoseconds(CLOCK_MONOTONIC); }
uint64_t alula_cpu_nanoseconds(void) { return nanoseconds(CLOCK_PROCESS_CPUTIME_ID); }

const char *alula_environment(const char *name) { return getenv(name); }

#if defined(__APPLE__)

#include <sys/sysctl.h>

static int32_t sysctl_count(const char *name) {
    int32_t count = 0;
    size_t size = sizeof count;
    return sysctlbyname(name, &count, &size, NULL, 0) == 0 ? count : 0;
}

int32_t alula_physical_cores(void) {
    // Performance cores only: a static partition would wait for the efficiency cores.
    const int32_t fast = sysctl_count("hw.perflevel0.physicalcpu");
    const int32_t cores = fast > 0 ? fast : sysctl_count("hw.physicalcpu");
    return cores > 0 ? cores : 1;
}

#elif defined(__linux__)

#include <sched.h>
#include <string.h>

/// The first CPU of the core that `cpu` belongs to: the same number for all hardware threads of one core.
static int first_sibling(int cpu) {
    char path[96];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    FILE *file = fopen(path, "r");
    if (!file) return cpu;
    int first = cpu;
    if (fscanf(file, "%d", &first) != 1 || first < 0 || first >= CPU_SETSIZE) first = cpu;
    fclose(file);
    return first;
}

/// CPUs that the control group's quota amounts to, rounded up; 0 if there is none.
static int32_t quota_cpus(void) {
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "r");
    if (!file) return 0;
    long long quota = 0, period = 0;
    const int fields = fscanf(file, "%lld %lld", &quota, &period);  // "max 100000" fills none
    fclose(file);
    if (fields != 2 || quota <= 0 || period <= 0) return 0;
    const long long cpus = (quota + period - 1) / period;
    return cpus < CPU_SETSIZE ? (int32_t)cpus : CPU_SETSIZE;
}

int32_t alula_physical_cores(void) {
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 1;
    char seen[CPU_SETSIZE];
    memset(seen, 0, sizeof seen);
    int32_t cores = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed)) continue;
        const int core = first_sibling(cpu);
        cores += !seen[core];
        seen[core] = 1;
    }
    const int32_t quota = quota_cpus();
    if (quota > 0 && quota < cores) cores = quota;
    return cores > 0 ? cores : 1;
}

#else

int32_t alula_physical_cores(void) {
    const long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (int32_t)count : 1;
}

#endif

#else

uint64_t alula_clock_nanoseconds(void) { return 0; }
uint64_t alula_cpu_nanoseconds(void) { return 0; }

const char *alula_environment(const char *name) {
    (void)name;
    return NULL;
}

int32_t alula_physical_cores(void) { return 1; }

#endif
