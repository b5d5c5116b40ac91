// alula-hdf5-reader FILE BUDGET SECONDS: writes the tensors of an HDF5 file to standard output, as records.h frames them.
//
// libhdf5 is not made for hostile files. This program therefore runs apart from the one that wants the tensors, gives up every right that it
// does not need, and may crash or be ended at any time: the reader of its records believes nothing that it has not checked.
#define _GNU_SOURCE 1

#include "walk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static uint64_t number(const char *text) {
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || *text < '0' || *text > '9' || *end != 0) exit(2);
    return value;
}

int main(int count, char **arguments) {
    if (count != 4) {
        fprintf(stderr, "usage: alula-hdf5-reader FILE BUDGET_BYTES CPU_SECONDS\nReads HDF5 weights for alula convert.\n");
        return 2;
    }
    const uint64_t budget = number(arguments[2]), seconds = number(arguments[3]);
    start_records();
    limit(RLIMIT_CORE, 0, 0);
    limit(RLIMIT_FSIZE, 0, 0);
    limit(RLIMIT_CPU, seconds, 1);
    limit(RLIMIT_AS, budget > UINT64_MAX / 4 ? RLIM_INFINITY : BASE_BYTES + 2 * budget, 0);

    // No filters from plug-ins, no links into other files, no messages of the library's own.
    setenv("HDF5_USE_FILE_LOCKING", "FALSE", 1);
    if (H5open() < 0 || H5PLset_loading_state(0) < 0 || H5Lunregister(H5L_TYPE_EXTERNAL) < 0
        || H5Eset_auto2(H5E_DEFAULT, NULL, NULL) < 0)
        fail("", "cannot be read: libhdf5 does not start");
    const hid_t file = H5Fopen(arguments[1], H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file < 0) fail("", "is no HDF5 file that can be read");
    // Whatever the file refers to, nothing more can be opened, and no process started.
    limit(RLIMIT_NOFILE, 0, 0);
    limit(RLIMIT_NPROC, 0, 0);
    write_file(file, budget);
    // The library's own clean-up walks its caches once more; nothing depends on it.
    _Exit(0);
}
