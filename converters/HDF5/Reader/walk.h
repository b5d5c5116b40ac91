#pragma once

#include "records.h"

// One set of functions from version 1.10 on.
#define H5_USE_110_API 1
#include <hdf5.h>

/// Most axes of a tensor, bytes of a path, groups inside of each other, and objects of a file.
enum { MAXIMUM_RANK = 32, MAXIMUM_PATH = 1024, MAXIMUM_DEPTH = 64, MAXIMUM_OBJECTS = 65536 };

/// Sends all tensors of a file, and the names that its attributes list. Tensors of more than `budget` bytes together are refused.
void write_file(hid_t file, uint64_t budget);

/// Sends one data set. Takes its size from the budget.
void write_dataset(hid_t dataset, const char *path, uint64_t *budget);

/// Sends what the attributes `name`, or `name0`, `name1` and so on, of a group list. Returns whether there are any.
int write_names(hid_t group, const char *path, const char *name, int role);
