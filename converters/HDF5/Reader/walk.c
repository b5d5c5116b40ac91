#include "walk.h"

#include <stdlib.h>
#include <string.h>

/// Groups on the way through a file.
typedef struct {
    char path[MAXIMUM_PATH + 1];
    size_t length;
    int depth;
    uint64_t budget;
    uint32_t objects;
    uint32_t tensors;
    unsigned long file_number;
    /// Addresses of the groups seen, a hash table.
    haddr_t seen[2 * MAXIMUM_OBJECTS];
} walk;

static void enter_group(walk *state, hid_t group);

/// Whether the group is new: cycles and groups with two names would be read again and again.
static int is_new(walk *state, haddr_t address) {
    size_t place = (size_t)(address * 0x9E3779B97F4A7C15u >> 40) % (2 * MAXIMUM_OBJECTS);
    while (state->seen[place] != 0) {
        if (state->seen[place] == address + 1) return 0;
        place = (place + 1) % (2 * MAXIMUM_OBJECTS);
    }
    state->seen[place] = address + 1;
    return 1;
}

static void visit_object(walk *state, hid_t parent, const char *name, H5L_type_t link) {
    const hid_t object = H5Oopen(parent, name, H5P_DEFAULT);
    if (object < 0) {
        fail(state->path, link == H5L_TYPE_SOFT ? "is a soft link that leads to nothing in this file" : "cannot be opened: the file is damaged");
    }
    H5O_info_t info;
    if (H5Oget_info(object, &info) < 0) fail(state->path, "cannot be opened: the file is damaged");
    if (info.fileno != state->file_number) fail(state->path, "lies in another file");
    switch (info.type) {
    case H5O_TYPE_GROUP:
        if (state->depth >= MAXIMUM_DEPTH) fail(state->path, "lies in more than %d groups", MAXIMUM_DEPTH);
        if (!is_new(state, info.addr)) fail(state->path, "is a second link to a group");
        state->depth++;
        enter_group(state, object);
        state->depth--;
        break;
    case H5O_TYPE_DATASET:
        write_dataset(object, state->path, &state->budget);
        state->tensors++;
        break;
    default: break;
    }
    H5Oclose(object);
}

static herr_t visit_link(hid_t group, const char *name, const H5L_info_t *info, void *context) {
    walk *state = context;
    const size_t length = state->length, count = strlen(name);
    const size_t slash = length > 0;
    if (count + slash > MAXIMUM_PATH - length) fail(state->path, "holds a name that makes its path longer than %d bytes", MAXIMUM_PATH);
    if (slash) state->path[length] = '/';
    memcpy(state->path + length + slash, name, count + 1);
    state->length = length + slash + count;
    if (++state->objects > MAXIMUM_OBJECTS) fail(state->path, "is one object too many: the limit is %d", MAXIMUM_OBJECTS);
    switch (info->type) {
    case H5L_TYPE_HARD:
    case H5L_TYPE_SOFT: visit_object(state, group, name, info->type); break;
    case H5L_TYPE_EXTERNAL: fail(state->path, "is a link into another file, which is not followed");
    default: fail(state->path, "is a link of kind %d, which is not followed", (int)info->type);
    }
    state->path[length] = 0;
    state->length = length;
    return 0;
}

static void enter_group(walk *state, hid_t group) {
    write_names(group, state->path, "weight_names", ROLE_WEIGHTS);
    if (H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, NULL, visit_link, state) < 0)
        fail(state->path, "cannot be listed: the file is damaged");
}

/// A whole Keras model keeps its weights in a group of their own, beside the optimizer's.
static hid_t weights_group(hid_t file) {
    H5L_info_t link;
    if (H5Lexists(file, "model_weights", H5P_DEFAULT) <= 0 || H5Lget_info(file, "model_weights", &link, H5P_DEFAULT) < 0
        || link.type != H5L_TYPE_HARD)
        return H5Gopen2(file, "/", H5P_DEFAULT);
    return H5Gopen2(file, "model_weights", H5P_DEFAULT);
}

void write_file(hid_t file, uint64_t budget) {
    static walk state;
    const hid_t root = weights_group(file);
    H5O_info_t info;
    if (root < 0 || H5Oget_info(root, &info) < 0) fail("", "has no root group: the file is damaged");
    state.budget = budget;
    state.file_number = info.fileno;
    is_new(&state, info.addr);
    write_names(root, "", "layer_names", ROLE_LAYERS);
    enter_group(&state, root);
    put_number(RECORD_END, 1);
    put_number(state.tensors, 4);
    flush_records();
}
