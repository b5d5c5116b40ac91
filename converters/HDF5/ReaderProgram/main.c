// alula-hdf5-reader FILE BUDGET SECONDS: writes the tensors of an HDF5 file to standard output.
//
// libhdf5 is not made for hostile files. This program therefore runs apart from the one that wants the tensors, which believes nothing of its
// records that it has not checked.
#include "hdf5_reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

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
    read_hdf5(arguments[1], number(arguments[2]), number(arguments[3]));
}
