#include "walk.h"

#include <stdlib.h>
#include <string.h>

/// Where sign, exponent and mantissa of a floating-point number lie.
static int is_float_of(hid_t type, size_t exponent_at, size_t exponent_size, size_t mantissa_size, size_t bias) {
    size_t sign, position, size, mantissa_position, mantissa;
    if (H5Tget_fields(type, &sign, &position, &size, &mantissa_position, &mantissa) < 0) return 0;
    return sign == exponent_at + exponent_size && position == exponent_at && size == exponent_size && mantissa_position == 0
        && mantissa == mantissa_size && H5Tget_ebias(type) == bias && H5Tget_norm(type) == H5T_NORM_IMPLIED;
}

static int float_element(hid_t type) {
    switch (H5Tget_size(type)) {
    case 2:
        if (is_float_of(type, 10, 5, 10, 15)) return ELEMENT_F16;
        return is_float_of(type, 7, 8, 7, 127) ? ELEMENT_BF16 : -1;
    case 4: return is_float_of(type, 23, 8, 23, 127) ? ELEMENT_F32 : -1;
    case 8: return is_float_of(type, 52, 11, 52, 1023) ? ELEMENT_F64 : -1;
    default: return -1;
    }
}

static int integer_element(hid_t type) {
    const size_t size = H5Tget_size(type);
    const int is_signed = H5Tget_sign(type) == H5T_SGN_2;
    if (H5Tget_precision(type) != 8 * size || H5Tget_offset(type) != 0) return -1;
    switch (size) {
    case 1: return is_signed ? ELEMENT_S8 : ELEMENT_U8;
    case 2: return is_signed ? ELEMENT_I16 : ELEMENT_U16;
    case 4: return is_signed ? ELEMENT_I32 : ELEMENT_U32;
    case 8: return is_signed ? ELEMENT_I64 : ELEMENT_U64;
    default: return -1;
    }
}

/// The numbering of records; refuses what is no number.
static int element_of(hid_t type, const char *path) {
    int element = -1;
    if (H5Tget_class(type) == H5T_FLOAT) element = float_element(type);
    if (H5Tget_class(type) == H5T_INTEGER) element = integer_element(type);
    if (element < 0) fail(path, "has elements that are no numbers of 8 to 64 bits");
    return element;
}

/// Refuses what lies outside of the file or needs code from outside.
static H5D_layout_t check_storage(hid_t dataset, const char *path) {
    const hid_t list = H5Dget_create_plist(dataset);
    if (list < 0) fail(path, "cannot be read: the file is damaged");
    if (H5Pget_external_count(list) != 0) fail(path, "has its data in other files, which are not read");
    const H5D_layout_t layout = H5Pget_layout(list);
    if (layout == H5D_VIRTUAL) fail(path, "is a virtual data set, made of others, which are not read");
    const int filters = H5Pget_nfilters(list);
    if (layout < 0 || filters < 0) fail(path, "cannot be read: the file is damaged");
    for (int i = 0; i < filters; i++) {
        unsigned flags;
        size_t values = 0;
        const H5Z_filter_t filter = H5Pget_filter2(list, (unsigned)i, &flags, &values, NULL, 0, NULL, NULL);
        if (filter != H5Z_FILTER_DEFLATE && filter != H5Z_FILTER_SHUFFLE && filter != H5Z_FILTER_FLETCHER32)
            fail(path, "needs filter %d; known are gzip, shuffle and fletcher32", (int)filter);
    }
    H5Pclose(list);
    return layout;
}

/// Bytes of the tensor, within the budget, with all of them in the file.
static uint64_t check_size(hid_t dataset, hid_t space, size_t width, H5D_layout_t layout, const char *path, uint64_t *budget, int *rank,
                           hsize_t *sizes) {
    const H5S_class_t class = H5Sget_simple_extent_type(space);
    *rank = H5Sget_simple_extent_ndims(space);
    if ((class != H5S_SIMPLE && class != H5S_SCALAR) || *rank < 0 || *rank > MAXIMUM_RANK)
        fail(path, "has no shape of up to %d axes", MAXIMUM_RANK);
    if (H5Sget_simple_extent_dims(space, sizes, NULL) < 0) fail(path, "cannot be read: the file is damaged");
    uint64_t bytes = width;
    int is_empty = 0;
    for (int i = 0; i < *rank; i++) is_empty |= sizes[i] == 0;
    for (int i = 0; i < *rank && !is_empty; i++)
        if (__builtin_mul_overflow(bytes, sizes[i], &bytes)) fail(path, "has a shape whose size overflows");
    if (is_empty) bytes = 0;
    if (bytes > *budget) fail(path, "would take %llu bytes, more than the %llu left for a file of this size", (unsigned long long)bytes, (unsigned long long)*budget);
    // Data that were never written read as a filling value: a small file could claim any size. Deflate shrinks to 1/1032 at best.
    const uint64_t stored = H5Dget_storage_size(dataset);
    const int is_stored = layout == H5D_CHUNKED ? stored >= bytes / 1032 && (stored > 0 || bytes == 0) : stored == bytes;
    if (!is_stored || (layout == H5D_CONTIGUOUS && bytes > 0 && H5Dget_offset(dataset) == HADDR_UNDEF))
        fail(path, "has a shape of %llu bytes, but only %llu stored", (unsigned long long)bytes, (unsigned long long)stored);
    *budget -= bytes;
    return bytes;
}

void write_dataset(hid_t dataset, const char *path, uint64_t *budget) {
    const H5D_layout_t layout = check_storage(dataset, path);
    const hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset);
    if (type < 0 || space < 0) fail(path, "cannot be read: the file is damaged");
    const int element = element_of(type, path);
    int rank;
    hsize_t sizes[MAXIMUM_RANK];
    const uint64_t bytes = check_size(dataset, space, H5Tget_size(type), layout, path, budget, &rank, sizes);

    // The same numbers, in this machine's byte order.
    const hid_t memory = H5Tcopy(type);
    void *data = malloc(bytes > 0 ? bytes : 1);
    if (!data) fail(path, "does not fit into memory");
    if (memory < 0 || H5Tset_order(memory, H5T_ORDER_LE) < 0
        || (bytes > 0 && H5Dread(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0))
        fail(path, "has data that cannot be read: the file is damaged");
    put_number(RECORD_TENSOR, 1);
    put_text(path, strlen(path));
    put_number((uint64_t)element, 1);
    put_number((uint64_t)rank, 1);
    for (int i = 0; i < rank; i++) put_number(sizes[i], 8);
    put_number(bytes, 8);
    put_bytes(data, bytes);
    free(data);
    H5Tclose(memory);
    H5Sclose(space);
    H5Tclose(type);
}
