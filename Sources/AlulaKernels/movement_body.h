// Families that move data: copy, fill, gather. Included once by the file of each instruction set.
#include "kernels_internal.h"
#include "instruction_set.h"

// Rows of a few bytes are cheaper to copy here than through memcpy.
ALULA_INLINE void move_bytes(uint8_t *restrict out, const uint8_t *restrict in, size_t bytes) {
    if (bytes == 64) {
        __builtin_memcpy(out, in, 64);
    } else if (bytes > 32) {
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

// A transpose by tiles; the rows and columns left over go one by one. False if the plane is none.
#define ALULA_TRANSPOSE_PLANE(name, type, size, transpose_tile)                                                             \
    static bool name(const type *in, type *out, const plane *b) {                                                          \
        if (b->in_row != 1 || b->out_column != 1 || b->rows < size || b->columns < size) return false;                     \
        size_t rows = b->rows / size * size, columns = b->columns / size * size;                                           \
        for (size_t r = 0; r < rows; r += size) {                                                                          \
            for (size_t c = 0; c < columns; c += size) {                                                                   \
                transpose_tile(in + (int64_t)c * b->in_column + r, b->in_column, out + (int64_t)r * b->out_row + c, b->out_row); \
            }                                                                                                              \
        }                                                                                                                  \
        for (size_t r = 0; r < b->rows; r++) {                                                                             \
            for (size_t c = r < rows ? columns : 0; c < b->columns; c++) {                                                 \
                out[(int64_t)r * b->out_row + (int64_t)c] = in[(int64_t)r + (int64_t)c * b->in_column];                    \
            }                                                                                                              \
        }                                                                                                                  \
        return true;                                                                                                       \
    }

#ifdef ALULA_TRANSPOSE_U8_16X16
ALULA_TRANSPOSE_PLANE(transpose_u8, uint8_t, 16, ALULA_TRANSPOSE_U8_16X16)
#else
ALULA_INLINE bool transpose_u8(const uint8_t *in, uint8_t *out, const plane *b) {
    (void)in, (void)out, (void)b;
    return false;
}
#endif

typedef uint32_t eight_u32 __attribute__((vector_size(32), aligned(4)));

// out[r * out_stride + c] = in[c * in_stride + r] for 8 rows and columns; steps as in transpose_u8_avx2.h.
ALULA_INLINE void transpose_8x8(const uint32_t *in, int64_t in_stride, uint32_t *out, int64_t out_stride) {
    eight_u32 a[8], b[8];
    for (int c = 0; c < 8; c++) a[c] = *(const eight_u32 *)(in + c * in_stride);
    for (int step = 0; step < 3; step++) {
        for (int l = 0; l < 4; l++) {
            b[2 * l] = __builtin_shufflevector(a[l], a[l + 4], 0, 8, 1, 9, 2, 10, 3, 11);
            b[2 * l + 1] = __builtin_shufflevector(a[l], a[l + 4], 4, 12, 5, 13, 6, 14, 7, 15);
        }
        for (int l = 0; l < 8; l++) a[l] = b[l];
    }
    for (int r = 0; r < 8; r++) *(eight_u32 *)(out + r * out_stride) = a[r];
}

// Of weights of a layer that is trained, say, which are packed at every step.
ALULA_TRANSPOSE_PLANE(transpose_u32, uint32_t, 8, transpose_8x8)

// What is contiguous goes by memcpy, with rows prefetched, as they may be pages apart. Where the input is contiguous down the rows (a transpose), tiles keep both sides in the cache.
#define ALULA_COPY_PLANE(name, type)                                                                                       \
    static void name(const type *restrict in, type *restrict out, const plane *b) {                                        \
        size_t rows = b->rows, columns = b->columns;                                                                       \
        if (b->in_column == 1 && b->out_column == 1) {                                                                     \
            if (b->in_row == (int64_t)columns && b->out_row == (int64_t)columns) columns *= rows, rows = 1;                \
            for (size_t r = 0; r < rows; r++) {                                                                            \
                __builtin_prefetch((const void *)((uintptr_t)(in + (int64_t)r * b->in_row) + 16 * sizeof(type) * (uintptr_t)b->in_row));  \
                move_bytes((uint8_t *)(out + (int64_t)r * b->out_row), (const uint8_t *)(in + (int64_t)r * b->in_row),     \
                           columns * sizeof(type));                                                                        \
            }                                                                                                              \
            return;                                                                                                        \
        }                                                                                                                  \
        if (sizeof(type) == 1 && transpose_u8((const uint8_t *)in, (uint8_t *)out, b)) return;                             \
        if (sizeof(type) == 4 && transpose_u32((const uint32_t *)in, (uint32_t *)out, b)) return;                          \
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

#define ALULA_GATHER_SINGLES(type)                                                                                        \
    for (size_t i = 0; i < rows; i++) ((type *)p->output)[begin + i] = ((const type *)p->input)[o * n + (size_t)index[i]]; \
    break;

void ALULA_SYMBOL(gather)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_gather_args *p = args;
    size_t n = (size_t)p->n, count = (size_t)p->count, bytes = (size_t)p->inner * (size_t)p->element_bytes;
    while (begin < end) {
        size_t o = begin / count, first = begin % count, rows = alula_min_size(count - first, end - begin);
        const int32_t *index = p->index + first;
        switch (p->inner == 1 ? p->element_bytes : 0) {
        case 1: ALULA_GATHER_SINGLES(uint8_t)
        case 2: ALULA_GATHER_SINGLES(uint16_t)
        case 4: ALULA_GATHER_SINGLES(uint32_t)
        case 8: ALULA_GATHER_SINGLES(uint64_t)
        default: {
            const uint8_t *in = (const uint8_t *)p->input + o * n * bytes;
            uint8_t *out = (uint8_t *)p->output + begin * bytes;
            for (size_t i = 0; i < rows; i++) move_bytes(out + i * bytes, in + (size_t)index[i] * bytes, bytes);
        }
        }
        begin += rows;
    }
}
