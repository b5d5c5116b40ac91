// Families that move data: copy, fill, gather, resize. Included once by the file of each instruction set.
#include "kernels_internal.h"
#include "instruction_set.h"

// Rows of a few bytes are cheaper to copy here than through memcpy.
ALULA_INLINE void move_bytes(uint8_t *restrict out, const uint8_t *restrict in, size_t bytes) {
    if (bytes > 32) {
        __builtin_memcpy(out, in, bytes);
    } else if (bytes >= 16) {
        __builtin_memcpy(out, in, 16);
        __builtin_memcpy(out + bytes - 16, in + bytes - 16, 16);
    } else if (bytes >= 8) {
        __builtin_memcpy(out, in, 8);
        __builtin_memcpy(out + bytes - 8, in + bytes - 8, 8);
    } else if (bytes >= 4) {
        __builtin_memcpy(out, in, 4);
        __builtin_memcpy(out + bytes - 4, in + bytes - 4, 4);
    } else {
        for (size_t i = 0; i < bytes; i++) out[i] = in[i];
    }
}

// ---- Copy ---------------------------------------------------------------------------------------------------------------------------

// A block of rows x columns elements; strides in elements.
typedef struct { size_t rows, columns; int64_t in_row, in_column, out_row, out_column; } plane;

#ifdef ALULA_TRANSPOSE_U8_16X16
// A transpose of bytes by tiles; the rows and columns left over go one by one. False if the plane is none.
static bool transpose_u8(const uint8_t *in, uint8_t *out, const plane *b) {
    if (b->in_row != 1 || b->out_column != 1 || b->rows < 16 || b->columns < 16) return false;
    size_t rows = b->rows / 16 * 16, columns = b->columns / 16 * 16;
    for (size_t r = 0; r < rows; r += 16) {
        for (size_t c = 0; c < columns; c += 16) {
            ALULA_TRANSPOSE_U8_16X16(in + (int64_t)c * b->in_column + r, b->in_column, out + (int64_t)r * b->out_row + c, b->out_row);
        }
    }
    for (size_t r = 0; r < b->rows; r++) {
        for (size_t c = r < rows ? columns : 0; c < b->columns; c++) out[(int64_t)r * b->out_row + (int64_t)c] = in[(int64_t)r + (int64_t)c * b->in_column];
    }
    return true;
}
#else
ALULA_INLINE bool transpose_u8(const uint8_t *in, uint8_t *out, const plane *b) {
    (void)in, (void)out, (void)b;
    return false;
}
#endif

// What is contiguous goes by memcpy. Where the input is contiguous down the rows (a transpose), tiles keep both sides in the cache.
#define ALULA_COPY_PLANE(name, type)                                                                                       \
    static void name(const type *restrict in, type *restrict out, const plane *b) {                                        \
        size_t rows = b->rows, columns = b->columns;                                                                       \
        if (b->in_column == 1 && b->out_column == 1) {                                                                     \
            if (b->in_row == (int64_t)columns && b->out_row == (int64_t)columns) columns *= rows, rows = 1;                \
            for (size_t r = 0; r < rows; r++) {                                                                            \
                move_bytes((uint8_t *)(out + (int64_t)r * b->out_row), (const uint8_t *)(in + (int64_t)r * b->in_row),     \
                           columns * sizeof(type));                                                                        \
            }                                                                                                              \
            return;                                                                                                        \
        }                                                                                                                  \
        if (sizeof(type) == 1 && transpose_u8((const uint8_t *)in, (uint8_t *)out, b)) return;                             \
        size_t tile = b->in_row == 1 ? 16 : rows;                                                                          \
        for (size_t r0 = 0; r0 < rows; r0 += tile) {                                                                       \
            size_t r1 = alula_min_size(rows, r0 + tile);                                                                   \
            for (size_t c0 = 0; c0 < columns; c0 += 16) {                                                                  \
                size_t c1 = alula_min_size(columns, c0 + 16);                                                              \
                for (size_t r = r0; r < r1; r++) {                                                                         \
                    for (size_t c = c0; c < c1; c++) {                                                                     \
                        out[(int64_t)r * b->out_row + (int64_t)c * b->out_column] =                                        \
                            in[(int64_t)r * b->in_row + (int64_t)c * b->in_column];                                        \
                    }                                                                                                      \
                }                                                                                                          \
            }                                                                                                              \
        }                                                                                                                  \
    }

ALULA_COPY_PLANE(copy_plane_8, uint8_t)
ALULA_COPY_PLANE(copy_plane_16, uint16_t)
ALULA_COPY_PLANE(copy_plane_32, uint32_t)
ALULA_COPY_PLANE(copy_plane_64, uint64_t)

void ALULA_SYMBOL(copy)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_copy_args *p = args;
    int32_t last = p->rank - 1, above = last - 1;
    size_t row = begin;
    while (row < end) {
        int64_t in = 0, out = 0;
        size_t rest = row, left = 1;                         // rows left in the axis above the last
        for (int32_t axis = above; axis >= 0; axis--) {
            size_t size = (size_t)p->shape[axis], index = rest % size;
            rest /= size;
            in += (int64_t)index * p->in_strides[axis];
            out += (int64_t)index * p->out_strides[axis];
            if (axis == above) left = size - index;
        }
        plane b = {.rows = alula_min_size(left, end - row), .columns = (size_t)p->shape[last]};
        b.in_column = p->in_strides[last];
        b.out_column = p->out_strides[last];
        if (above >= 0) b.in_row = p->in_strides[above], b.out_row = p->out_strides[above];
        switch (p->element_bytes) {
        case 1: copy_plane_8((const uint8_t *)p->input + in, (uint8_t *)p->output + out, &b); break;
        case 2: copy_plane_16((const uint16_t *)p->input + in, (uint16_t *)p->output + out, &b); break;
        case 4: copy_plane_32((const uint32_t *)p->input + in, (uint32_t *)p->output + out, &b); break;
        case 8: copy_plane_64((const uint64_t *)p->input + in, (uint64_t *)p->output + out, &b); break;
        }
        row += b.rows;
    }
}

// ---- Fill and gather ------------------------------------------------------------------------------------------------------------------

#define ALULA_FILL(type)                                                          \
    {                                                                             \
        type value, *out = (type *)p->output;                                     \
        __builtin_memcpy(&value, p->value, sizeof(type));                         \
        ALULA_VECTORIZE for (size_t i = begin; i < end; i++) out[i] = value;      \
    }                                                                             \
    break;

void ALULA_SYMBOL(fill)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_fill_args *p = args;
    switch (p->element_bytes) {
    case 1: ALULA_FILL(uint8_t)
    case 2: ALULA_FILL(uint16_t)
    case 4: ALULA_FILL(uint32_t)
    case 8: ALULA_FILL(uint64_t)
    }
}

#define ALULA_GATHER_SINGLES(type)                                                                        \
    {                                                                                                     \
        const type *in = (const type *)p->input + o * n;                                                  \
        type *out = (type *)p->output + o * count;                                                        \
        for (size_t i = 0; i < count; i++) out[i] = in[p->index[i]];                                      \
    }                                                                                                     \
    break;

void ALULA_SYMBOL(gather)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_gather_args *p = args;
    size_t n = (size_t)p->n, count = (size_t)p->count, bytes = (size_t)p->inner * (size_t)p->element_bytes;
    for (size_t o = begin; o < end; o++) {
        switch (p->inner == 1 ? p->element_bytes : 0) {
        case 1: ALULA_GATHER_SINGLES(uint8_t)
        case 2: ALULA_GATHER_SINGLES(uint16_t)
        case 4: ALULA_GATHER_SINGLES(uint32_t)
        case 8: ALULA_GATHER_SINGLES(uint64_t)
        default: {
            const uint8_t *in = (const uint8_t *)p->input + o * n * bytes;
            uint8_t *out = (uint8_t *)p->output + o * count * bytes;
            for (size_t i = 0; i < count; i++) move_bytes(out + i * bytes, in + (size_t)p->index[i] * bytes, bytes);
        }
        }
    }
}

// ---- Resize ---------------------------------------------------------------------------------------------------------------------------

// The input index of output index x, in exact integers: round(x * (in - 1) / (out - 1)) with corners aligned, floor((x + 1/2) * in / out) for
// half_pixel (PyTorch's nearest-exact), otherwise floor(x * in / out) (PyTorch's nearest).
ALULA_INLINE int32_t nearest(const alula_resize_args *p, int32_t x, int32_t in, int32_t out) {
    int64_t index;
    if (p->align_corners) index = out > 1 ? (2 * (int64_t)x * (in - 1) + (out - 1)) / (2 * ((int64_t)out - 1)) : 0;
    else if (p->half_pixel) index = (2 * (int64_t)x + 1) * in / (2 * (int64_t)out);
    else index = (int64_t)x * in / out;
    return alula_min_i32((int32_t)index, in - 1);
}

static void resize_nearest_row(const alula_resize_args *p, size_t row) {
    size_t b = row / (size_t)p->out_h, pixel = (size_t)p->c * (size_t)p->element_bytes;
    int32_t y = nearest(p, (int32_t)(row % (size_t)p->out_h), p->in_h, p->out_h);
    const uint8_t *in = (const uint8_t *)p->input + (b * (size_t)p->in_h + (size_t)y) * (size_t)p->in_w * pixel;
    uint8_t *out = (uint8_t *)p->output + row * (size_t)p->out_w * pixel;
    for (int32_t x = 0; x < p->out_w; x++) {
        move_bytes(out + (size_t)x * pixel, in + (size_t)nearest(p, x, p->in_w, p->out_w) * pixel, pixel);
    }
}

// Two neighbours and their weights, as PyTorch computes them.
typedef struct { size_t first, second; float first_weight, second_weight; } neighbours;

ALULA_INLINE neighbours between(const alula_resize_args *p, int32_t x, int32_t in, int32_t out) {
    float at;
    if (p->align_corners) {
        at = out > 1 ? (float)x * ((float)(in - 1) / (float)(out - 1)) : 0.0f;
    } else {
        float scale = (float)in / (float)out;
        at = p->half_pixel ? ((float)x + 0.5f) * scale - 0.5f : (float)x * scale;
        at = at > 0.0f ? at : 0.0f;
    }
    int32_t first = alula_min_i32((int32_t)at, in - 1);
    float weight = at - (float)first;
    return (neighbours){(size_t)first, (size_t)alula_min_i32(first + 1, in - 1), 1.0f - weight, weight};
}

static void resize_bilinear_row(const alula_resize_args *p, size_t row) {
    size_t b = row / (size_t)p->out_h, c = (size_t)p->c;
    neighbours v = between(p, (int32_t)(row % (size_t)p->out_h), p->in_h, p->out_h);
    const float *image = (const float *)p->input + b * (size_t)p->in_h * (size_t)p->in_w * c;
    const float *upper = image + v.first * (size_t)p->in_w * c, *lower = image + v.second * (size_t)p->in_w * c;
    float *out = (float *)p->output + row * (size_t)p->out_w * c;
    for (int32_t x = 0; x < p->out_w; x++) {
        neighbours h = between(p, x, p->in_w, p->out_w);
        const float *a = upper + h.first * c, *a2 = upper + h.second * c, *d = lower + h.first * c, *d2 = lower + h.second * c;
        float *o = out + (size_t)x * c;
        ALULA_VECTORIZE for (size_t i = 0; i < c; i++) {
            float top = h.first_weight * a[i] + h.second_weight * a2[i], bottom = h.first_weight * d[i] + h.second_weight * d2[i];
            o[i] = v.first_weight * top + v.second_weight * bottom;
        }
    }
}

void ALULA_SYMBOL(resize)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_resize_args *p = args;
    for (size_t row = begin; row < end; row++) {
        if (p->bilinear) resize_bilinear_row(p, row);
        else resize_nearest_row(p, row);
    }
}
