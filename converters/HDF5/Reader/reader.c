// The whole of a reading process: `read_hdf5` limits the process, writes a file's tensors to standard output, and ends it.
#define _GNU_SOURCE 1

#include "hdf5_reader.h"
#include "walk.h"

#include <stdlib.h>
#include <sys/resource.h>

/// Address space besides the tensors: libraries, and what libhdf5 itself needs.
enum { BASE_BYTES = 320 << 20 };

/// Sets a limit for good; `grace` more would end the process without a signal of its own.
static void limit(int resource, rlim_t value, rlim_t grace) {
    struct rlimit limits;
    if (getrlimit(resource, &limits) == 0 && limits.rlim_max != RLIM_INFINITY && value + grace > limits.rlim_max) {
        value = limits.rlim_max;
        grace = 0;
    }
    limits = (struct rlimit){.rlim_cur = value, .rlim_max = value + grace};
    if (setrlimit(resource, &limits) != 0) fail("", "cannot be read: the reader cannot be limited");
}

// The address sanitizer's own tables take more address space than any limit.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ADDRESS_SANITIZER 1
#endif
#endif

_Noreturn void read_hdf5(const char *path, uint64_t budget, uint64_t seconds) {
    start_records();
    limit(RLIMIT_CORE, 0, 0);
    limit(RLIMIT_FSIZE, 0, 0);
    limit(RLIMIT_CPU, seconds, 1);
#ifndef HAS_ADDRESS_SANITIZER
    limit(RLIMIT_AS, budget > UINT64_MAX / 4 ? RLIM_INFINITY : BASE_BYTES + 2 * budget, 0);
#endif

    // No filters from plug-ins, no links into other files, no messages of the library's own.
    setenv("HDF5_USE_FILE_LOCKING", "FALSE", 1);
    if (H5open() < 0 || H5PLset_loading_state(0) < 0 || H5Lunregister(H5L_TYPE_EXTERNAL) < 0
        || H5Eset_auto2(H5E_DEFAULT, NULL, NULL) < 0)
        fail("", "cannot be read: libhdf5 does not start");
    const hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file < 0) fail("", "is no HDF5 file that can be read");
    // Whatever the file refers to, nothing more can be opened, and no process started.
    limit(RLIMIT_NOFILE, 0, 0);
    limit(RLIMIT_NPROC, 0, 0);
    write_file(file, budget);
    // The library's own clean-up walks its caches once more; nothing depends on it.
    _Exit(0);
}
