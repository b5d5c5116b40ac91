#pragma once

#include <stdint.h>

/// Writes the tensors of an HDF5 file to standard output, as records.h frames them, and ends the process. Before that, the process gives up every
/// right that it does not need; it may crash, or be ended, at any time.
///
/// - budget: bytes that tensors may have together. seconds: of processor time.
_Noreturn void read_hdf5(const char *path, uint64_t budget, uint64_t seconds);
