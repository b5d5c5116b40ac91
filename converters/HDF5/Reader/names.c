#define _GNU_SOURCE 1

#include "walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/// Bytes of all texts of one attribute. Keras keeps an attribute below 64 KiB.
enum { MAXIMUM_ATTRIBUTE = 4 << 20, MAXIMUM_NAMES = 65536 };

static void put_names(const char *path, int role, uint32_t count) {
    put_number(RECORD_NAMES, 1);
    put_text(path, strlen(path));
    put_number((uint64_t)role, 1);
    put_number(count, 4);
}

/// Texts of one length, filled up with zeros.
static void write_fixed(hid_t attribute, hid_t type, const char *path, int role, size_t count) {
    const size_t width = H5Tget_size(type);
    if (width == 0 || width > MAXIMUM_ATTRIBUTE / count) fail(path, "has an attribute of names that is too long");
    const hid_t memory = H5Tcopy(type);
    char *texts = calloc(count, width);
    if (memory < 0 || !texts || H5Aread(attribute, memory, texts) < 0) fail(path, "has an attribute of names that cannot be read");
    put_names(path, role, (uint32_t)count);
    for (size_t i = 0; i < count; i++) put_text(texts + i * width, strnlen(texts + i * width, width));
    free(texts);
    H5Tclose(memory);
}

/// Texts of any length, each of which the library allocates.
static void write_variable(hid_t attribute, hid_t type, hid_t space, const char *path, int role, size_t count) {
    const hid_t memory = H5Tcopy(H5T_C_S1);
    char **texts = calloc(count, sizeof *texts);
    if (memory < 0 || !texts || H5Tset_size(memory, H5T_VARIABLE) < 0 || H5Tset_cset(memory, H5Tget_cset(type)) < 0
        || H5Aread(attribute, memory, texts) < 0)
        fail(path, "has an attribute of names that cannot be read");
    size_t total = 0;
    put_names(path, role, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        const size_t length = texts[i] ? strnlen(texts[i], MAXIMUM_ATTRIBUTE) : 0;
        // The record is broken off: what follows tells why.
        if ((total += length) > MAXIMUM_ATTRIBUTE) _Exit(1);
        put_text(texts[i] ? texts[i] : "", length);
    }
    H5Dvlen_reclaim(memory, space, H5P_DEFAULT, texts);
    free(texts);
    H5Tclose(memory);
}

static void write_attribute(hid_t group, const char *path, const char *name, int role) {
    const hid_t attribute = H5Aopen(group, name, H5P_DEFAULT);
    const hid_t type = attribute < 0 ? -1 : H5Aget_type(attribute);
    const hid_t space = attribute < 0 ? -1 : H5Aget_space(attribute);
    const hssize_t count = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
    if (type < 0 || count < 0 || count > MAXIMUM_NAMES) fail(path, "has an attribute of names that cannot be read");
    // An empty list is stored as numbers.
    if (count > 0) {
        if (H5Tget_class(type) != H5T_STRING) fail(path, "has an attribute of names that holds no texts");
        if (H5Tis_variable_str(type) > 0) {
            write_variable(attribute, type, space, path, role, (size_t)count);
        } else {
            write_fixed(attribute, type, path, role, (size_t)count);
        }
    }
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attribute);
}

int write_names(hid_t group, const char *path, const char *name, int role) {
    if (H5Aexists(group, name) > 0) {
        write_attribute(group, path, name, role);
        return 1;
    }
    // What does not fit one attribute is cut into several.
    int part = 0;
    for (; part < 1024; part++) {
        char numbered[64];
        snprintf(numbered, sizeof numbered, "%s%d", name, part);
        if (H5Aexists(group, numbered) <= 0) break;
        write_attribute(group, path, numbered, role);
    }
    return part > 0;
}
